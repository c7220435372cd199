/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* A disk of a VM that runs, made larger under it. */

#define DISK_INTERFACE QEMU1 ".Disk"
#define GROUPS (UINT64_C(64) | UINT64_C(128))        /* of GetStatistics(): block, block-backing */
#define MAX_AGE_USEC UINT64_C(500000)
#define TRIES 30
#define WAIT_USEC 100000                             /* a disk that has just come is in the next sample */

static int get_target(Client *c, const char *device, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *target;
        int r = client_call(c, device, "org.freedesktop.DBus.Properties", "Get", &reply, "ss", DISK_INTERFACE, "Target");

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "v", "s", &target);
        if (r < 0)
                return client_garbled(r);
        *ret = strdup(target);
        return *ret ? 0 : client_fail("out of memory");
}

/* 0: it is not known. */
static uint64_t capacity_in(const json_t *values, const char *target) {
        for (uint64_t i = 0; i < show_number(values, "block.count"); i++) {
                char key[64];

                (void) snprintf(key, sizeof(key), "block.%llu.name", (unsigned long long) i);
                if (!streq(show_text(values, key), target))
                        continue;
                (void) snprintf(key, sizeof(key), "block.%llu.capacity", (unsigned long long) i);
                return show_number(values, key);
        }
        return 0;
}

static int get_capacity(Client *c, const char *domain, const char *target, uint64_t *ret) {
        *ret = 0;
        for (int i = 0; *ret == 0 && i < TRIES; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                json_auto_t *all = NULL;
                int r = client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "GetStatistics", &reply, "aota{sv}", 1, domain, GROUPS, 1, "max-age-usec", "t",
                                    MAX_AGE_USEC);

                if (r != 0)
                        return r;
                all = value_to_json(reply);
                *ret = capacity_in(json_array_get(json_array_get(all, 0), 1), target);
                if (*ret == 0)
                        (void) usleep(WAIT_USEC);
        }
        return 0;
}

/* What lies beyond the new end would be lost. */
static int check_size(Client *c, const char *domain, const char *device, uint64_t bytes) {
        _cleanup_free_ char *target = NULL;
        uint64_t now;
        char text[32];
        int r = get_target(c, device, &target) ?: get_capacity(c, domain, target, &now);

        if (r != 0 || (now > 0 && bytes >= now))
                return r;
        if (now == 0)
                return client_fail("it can't be found out how large %s is now\n  --force gives it the size all the same, and cuts off what is beyond", target);
        format_size(now, text, sizeof(text));
        return client_fail("%s has %s (%llu bytes): what is beyond the new size would be lost\n  --force makes it smaller all the same", target, text,
                           (unsigned long long) now);
}

int verb_resize(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL, *device = NULL;
        bool running = false;
        uint64_t bytes;
        int r = value_read_size(argv[2], &bytes) ?: client_domain(c, argv[0], &domain) ?:
                client_find(c, domain, DOMAIN_INTERFACE, "GetDevice", argv[1], &device) ?:
                domain_is_running(c, domain, &running);

        if (r == 0 && !running)
                return client_fail("%s does not run: make the image of its disk larger itself, as virtctl resize-volume does", argv[0]);
        if (r == 0 && !c->force)
                r = check_size(c, domain, device, bytes);
        return r ?: client_call(c, device, DISK_INTERFACE, "Resize", NULL, "tta{sv}", bytes, UINT64_C(0), 0);
}
