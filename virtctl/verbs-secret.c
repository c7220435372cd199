/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "definition.h"
#include "fd.h"
#include "rows.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "value-input.h"
#include "values.h"
#include "verbs.h"

/* Secrets, named by UUID, or by what they are for: volume:/srv/web.qcow2, ceph:client.web. */

static int secret_find(Client *c, const char *name, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *colon = strchr(name, ':');
        _cleanup_free_ char *type = NULL;
        int r;

        if (!colon)
                return client_find(c, STORAGE1_ROOT, STORAGE1_MANAGER, "GetSecret", name, ret);
        type = strndup(name, (size_t) (colon - name));
        if (!type)
                return client_fail("out of memory");
        r = client_call(c, STORAGE1_ROOT, STORAGE1_MANAGER, "GetSecretByUsage", &reply, "ss", type, colon + 1);
        return r != 0 ? r : client_take_path(reply, ret);
}

static void add_value(json_t *secret) {
        (void) json_object_set_new(secret, "value", json_string(json_is_true(json_object_get(secret, "set")) ? "set" : "none"));
}

int verb_secrets(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "secret", .keys = WORDS("uuid", "usage", "id", "set", "path"), .columns = WORDS("UUID", "USAGE", "ID", "VALUE"),
                .shown = WORDS("uuid", "usage", "id", "value"), .add_words = add_value,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, STORAGE1_ROOT, STORAGE1_MANAGER, "ListSecrets", &reply, NULL);

        return r ?: rows_show_answer(c, reply, &view);
}

int verb_define_secret(Client *c, int argc, char **argv) {
        return definition_send(c, STORAGE1_ROOT, STORAGE1_MANAGER, "DefineSecret", argc, argv);
}

int verb_cat_secret(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = secret_find(c, argv[0], &path);

        return r != 0 ? r : definition_print(c, path, STORAGE1_SECRET, 0);
}

int verb_undefine_secret(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, secret_find, STORAGE1_SECRET, "Undefine", 0);
}

/* --- values --- */

int verb_set_secret(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_value_input_ ValueInput value = {};
        _cleanup_free_ char *path = NULL, *what = strf("Value of secret %s", argv[0]);
        int r = secret_find(c, argv[0], &path);

        if (r == 0)
                r = value_input_read(what ?: "", argc > 1 ? argv[1] : NULL, &value);
        if (r == 0)
                r = client_new_call(c, &m, path, STORAGE1_SECRET, "SetValue");
        if (r != 0)
                return r;
        if (sd_bus_message_sensitive(m) < 0 || sd_bus_message_append_array(m, 'y', value.data, value.length) < 0 ||
            sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0) < 0)
                return client_fail("out of memory");
        return client_send(c, TAKE_PTR(m), NULL);
}

int verb_get_secret(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *path = NULL;
        const void *data;
        size_t length;
        int r = secret_find(c, argv[0], &path);

        if (r == 0)
                r = client_call(c, path, STORAGE1_SECRET, "GetValue", &reply, "ta{sv}", UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read_array(reply, 'y', &data, &length);
        if (r < 0)
                return client_garbled(r);
        r = fd_write_all(STDOUT_FILENO, data, length);
        return r < 0 ? client_fail("standard output can't be written to: %s", strerror(-r)) : 0;
}
