/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-driver.h"

#include "macro.h"
#include "str.h"

#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define CLIENT_NAME ":1.1" /* each connection is a bus of its own */

bool bus_driver_is_for(sd_bus_message *m) {
        return streq_null(sd_bus_message_get_path(m), DRIVER_PATH);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const char *const accepted[] = { "AddMatch", "RemoveMatch" };

        if (!bus_driver_is_for(m))
                return 0;
        if (sd_bus_message_is_method_call(m, DRIVER, "Hello"))
                return sd_bus_reply_method_return(m, "s", CLIENT_NAME) < 0 ? 0 : 1;
        for (size_t i = 0; i < ARRAY_SIZE(accepted); i++)
                if (sd_bus_message_is_method_call(m, DRIVER, accepted[i]))
                        return sd_bus_reply_method_return(m, NULL) < 0 ? 0 : 1;
        return 0;
}

int bus_driver_add(sd_bus *connection) {
        return sd_bus_add_filter(connection, NULL, on_message, NULL);
}
