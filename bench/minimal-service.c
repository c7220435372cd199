/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The least a D-Bus service can be: answers List() with N entries like those of virtqemud's ListDomains(). What virtqemud is
 * measured against. usage: minimal-service NAME N */

#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "macro.h"

static int method_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        static const unsigned char uuid[16] = { 1, 2, 3 };
        unsigned n = *(unsigned *) userdata;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssayso)");
        for (unsigned i = 0; i < n && r >= 0; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "domain%u", i);
                r = sd_bus_message_open_container(reply, 'r', "ssayso");
                if (r >= 0)
                        r = sd_bus_message_append(reply, "ss", name, "shutoff");
                if (r >= 0)
                        r = sd_bus_message_append_array(reply, 'y', uuid, sizeof(uuid));
                if (r >= 0)
                        r = sd_bus_message_append(reply, "so", "", "/org/virtbus/qemu1/domain/01020300000000000000000000000000");
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("List", NULL, "a(ssayso)", method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

int main(int argc, char *argv[]) {
        unsigned n = argc > 2 ? (unsigned) atoi(argv[2]) : 0;
        sd_bus *bus = NULL;
        int r;

        if (argc < 2)
                return EXIT_FAILURE;
        r = sd_bus_open_user(&bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/", "org.virtbus.Bench1", vtable, &n);
        if (r >= 0)
                r = sd_bus_request_name(bus, argv[1], 0);
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        return EXIT_FAILURE;
}
