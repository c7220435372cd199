/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "clock.h"
#include "mem.h"
#include "rows.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Leases and lockspaces, from virtlockd. */

#define LOCK1_MANAGER "org.virtbus.lock1.Manager"
#define LOCK1_LOCKSPACE "org.virtbus.lock1.Lockspace"

/* What people read where programs get numbers. */
static void add_words(json_t *lease) {
        json_int_t pid = json_integer_value(json_object_get(lease, "pid"));
        const char *image = json_string_value(json_object_get(lease, "description"));
        char since[128], text[16] = "";

        format_since((uint64_t) json_integer_value(json_object_get(lease, "since")), now_usec(CLOCK_REALTIME), since, sizeof(since));
        if (pid > 0)
                (void) snprintf(text, sizeof(text), "%d", (int) pid);
        (void) json_object_set_new(lease, "pid-text", json_string(text));
        (void) json_object_set_new(lease, "since-text", json_string(since));
        if (is_empty(image))
                (void) json_object_set(lease, "description", json_object_get(lease, "resource"));
}

int verb_leases(Client *c, int argc, char **argv) {
        static const char *const keys[] = {
                "lockspace", "resource", "description", "mode", "uuid", "name", "unit", "host", "pid", "since",
        };
        static const char *const columns[] = { "IMAGE", "MODE", "VM", "HOST", "PID", "SINCE" };
        static const char *const shown[] = { "description", "mode", "name", "host", "pid-text", "since-text" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *rows = NULL, *list = NULL;
        json_t *lease;
        size_t i;
        int r;

        r = client_call(c, LOCK1_ROOT, LOCK1_MANAGER, "ListLeases", &reply, "s", argc > 0 ? argv[0] : "");
        if (r != 0)
                return r;
        rows = value_to_json(reply);
        list = rows_with_keys(rows, keys, ARRAY_SIZE(keys));
        if (c->json != JSON_OFF)
                return print_json(c, json_incref(list));
        json_array_foreach(list, i, lease)
                add_words(lease);
        return rows_print(c, list, columns, shown, ARRAY_SIZE(columns), "lease");
}

int verb_lockspaces(Client *c, int argc, char **argv) {
        static const char *const keys[] = { "name", "folder", "state", "path" }, *const columns[] = { "NAME", "FOLDER", "STATE" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *rows = NULL, *list = NULL;
        int r;

        r = client_call(c, LOCK1_ROOT, LOCK1_MANAGER, "ListLockspaces", &reply, NULL);
        if (r != 0)
                return r;
        rows = value_to_json(reply);
        list = rows_with_keys(rows, keys, ARRAY_SIZE(keys));
        return c->json != JSON_OFF ? print_json(c, json_incref(list)) : rows_print(c, list, columns, keys, ARRAY_SIZE(columns), "lockspace");
}

int verb_add_lockspace(Client *c, int argc, char **argv) {
        return client_call(c, LOCK1_ROOT, LOCK1_MANAGER, "AddLockspace", NULL, "ssta{sv}", argv[0], argv[1], UINT64_C(0), 0);
}

int verb_remove_lockspace(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = client_find(c, LOCK1_ROOT, LOCK1_MANAGER, "GetLockspace", argv[0], &path);

        return r != 0 ? r : client_call(c, path, LOCK1_LOCKSPACE, "Remove", NULL, "ta{sv}", UINT64_C(0), 0);
}
