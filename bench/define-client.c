/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Defines domains, one call after the other, and prints how many it defined per second: a client that costs next to nothing, so that the
 * daemon and the bus are what is measured. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

static double now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* The text with its "%d" replaced by a number. */
static int define(sd_bus *bus, const char *before, const char *after, unsigned number) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char text[16384];
        int r;

        if (snprintf(text, sizeof(text), "%s%u%s", before, number, after) >= (int) sizeof(text))
                return -E2BIG;
        r = sd_bus_call_method(bus, "org.virtbus.qemu1", "/org/virtbus/qemu1", "org.virtbus.qemu1.Manager", "DefineDomain", &error, NULL,
                               "ssta{sv}", "libvirt-xml", text, (uint64_t) 0, 0);
        if (r < 0)
                fprintf(stderr, "%s\n", error.message);
        sd_bus_error_free(&error);
        return r;
}

int main(int argc, char *argv[]) {
        char *before = argc > 2 ? argv[1] : NULL, *mark = before ? strstr(before, "%d") : NULL;
        unsigned n = argc > 2 ? (unsigned) strtoul(argv[2], NULL, 10) : 0;
        sd_bus *bus = NULL;
        double began;
        int r;

        if (!mark || n == 0) {
                fprintf(stderr, "usage: define-client XML-WITH-%%d NUMBER\n");
                return 64;
        }
        *mark = 0;
        r = sd_bus_open_user(&bus);
        began = now();
        for (unsigned i = 0; i < n && r >= 0; i++)
                r = define(bus, before, mark + 2, i);
        if (r < 0) {
                fprintf(stderr, "define-client: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        printf("%.0f\n", n / (now() - began));
        sd_bus_flush_close_unref(bus);
        return EXIT_SUCCESS;
}
