/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "clock.h"
#include "mem.h"
#include "rows.h"
#include "show.h"
#include "str.h"
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
        const RowsView view = {
                .what = "lease", .keys = WORDS("lockspace", "resource", "description", "mode", "uuid", "name", "unit", "host", "pid", "since"),
                .columns = WORDS("IMAGE", "MODE", "VM", "HOST", "PID", "SINCE"),
                .shown = WORDS("description", "mode", "name", "host", "pid-text", "since-text"), .add_words = add_words,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, LOCK1_ROOT, LOCK1_MANAGER, "ListLeases", &reply, "s", argc > 0 ? argv[0] : "");

        return r ?: rows_show_answer(c, reply, &view);
}

int verb_lockspaces(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "lockspace", .keys = WORDS("name", "folder", "state", "path"), .columns = WORDS("NAME", "FOLDER", "STATE"),
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, LOCK1_ROOT, LOCK1_MANAGER, "ListLockspaces", &reply, NULL);

        return r ?: rows_show_answer(c, reply, &view);
}

int verb_add_lockspace(Client *c, int argc, char **argv) {
        return client_call(c, LOCK1_ROOT, LOCK1_MANAGER, "AddLockspace", NULL, "ssta{sv}", argv[0], argv[1], UINT64_C(0), 0);
}

int verb_remove_lockspace(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = client_find(c, LOCK1_ROOT, LOCK1_MANAGER, "GetLockspace", argv[0], &path);

        return r != 0 ? r : client_call(c, path, LOCK1_LOCKSPACE, "Remove", NULL, "ta{sv}", UINT64_C(0), 0);
}
