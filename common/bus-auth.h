/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"

/* Who may call what, decided before a message's body is looked at. Root and the daemon's own user may everything; others on the system
 * bus are for polkit to decide; others on the private socket and the session bus are refused. */

/* A method handler that knows its polkit action. There is no way to write a method without one: vtables take only what BUS_HANDLER
 * defines (tools/check-methods sees to it). ACTION is a string, BUS_OPEN for what anybody may call, BUS_ANYBODY for likewise if the caller's
 * user must be known, or BUS_SELF for methods that check the caller themselves. Use:
 *
 *         BUS_HANDLER(method_start, "org.virtbus.qemu1.manage-power") {
 *                 Domain *d = userdata;                  (m, userdata, error are the arguments)
 *         }
 */
typedef struct BusMethod {
        const char *action;
        sd_bus_message_handler_t handler;
} BusMethod;

#define BUS_OPEN ""
#define BUS_ANYBODY "anybody"
#define BUS_SELF "self"

#define BUS_HANDLER(name, polkit_action) BUS_HANDLER_OF(static, name, polkit_action)
/* For a vtable in another file. */
#define BUS_PUBLIC_HANDLER(name, polkit_action) BUS_HANDLER_OF(, name, polkit_action)
#define BUS_HANDLER_OF(storage, name, polkit_action)                                                    \
        static int name##_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error);              \
        storage int name(sd_bus_message *m, void *userdata, sd_bus_error *error) {                       \
                static const BusMethod method = { (polkit_action), name##_allowed };                    \
                return bus_enter(m, userdata, error, &method);                                          \
        }                                                                                               \
        static int name##_allowed(_unused_ sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error)

int bus_enter(sd_bus_message *m, void *userdata, sd_bus_error *error, const BusMethod *method);

/* The user a message is from, as far as bus_enter() has found out; (uid_t) -1: not known. */
uid_t bus_sender_uid(sd_bus_message *m);

/* Part of a Bus. */
typedef struct BusAuth BusAuth;
int bus_auth_new(Bus *b, BusAuth **ret);
BusAuth *bus_auth_free(BusAuth *a);
BusAuth *bus_auth_of(Bus *b);
struct BusCalls *bus_calls_of(Bus *b);
/* The row of a message's object, and the object; -ENOENT if it has gone. */
int bus_find_target(Bus *b, sd_bus_message *m, const BusObject **ret_row, void **ret_object);
/* The Bus a connection belongs to. */
Bus *bus_of(sd_bus *connection);
