/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "definition.h"
#include "rows.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Storage pools, from virtstoraged. */

int pool_find(Client *c, const char *name, char **ret) {
        return client_find(c, STORAGE1_ROOT, STORAGE1_MANAGER, "GetPool", name, ret);
}

/* --- one call on each of several pools --- */

static int build_one(Client *c, const char *path) {
        return client_call(c, path, STORAGE1_POOL, "Build", NULL, "ta{sv}", UINT64_C(0), 2, "format", "b", 1, "overwrite", "b", (int) c->force);
}

int verb_start_pool(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, pool_find, STORAGE1_POOL, "Start", 0);
}

int verb_stop_pool(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, pool_find, STORAGE1_POOL, "Stop", 0);
}

int verb_refresh_pool(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, pool_find, STORAGE1_POOL, "Refresh", 0);
}

int verb_build_pool(Client *c, int argc, char **argv) {
        return client_each(c, argc, argv, pool_find, build_one);
}

int verb_delete_pool(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, pool_find, STORAGE1_POOL, "Delete", 0);
}

int verb_undefine_pool(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, pool_find, STORAGE1_POOL, "Undefine", 0);
}

int verb_enable_pool(Client *c, int argc, char **argv) {
        return client_each_autostart(c, argc, argv, pool_find, STORAGE1_POOL, true);
}

int verb_disable_pool(Client *c, int argc, char **argv) {
        return client_each_autostart(c, argc, argv, pool_find, STORAGE1_POOL, false);
}

/* --- definitions --- */

int verb_define_pool(Client *c, int argc, char **argv) {
        return definition_send(c, STORAGE1_ROOT, STORAGE1_MANAGER, "DefinePool", argc, argv);
}

int verb_cat_pool(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = pool_find(c, argv[0], &path);

        return r != 0 ? r : definition_print(c, path, STORAGE1_POOL, c->live ? FLAG_LIVE : UINT64_C(0));
}

/* --- lists --- */

static void show_size(json_t *row, const char *key, const char *shown) {
        json_int_t bytes = json_integer_value(json_object_get(row, key));
        char text[32] = "-";

        if (bytes != 0)
                format_size((uint64_t) bytes, text, sizeof(text));
        (void) json_object_set_new(row, shown, json_string(text));
}

void storage_show_sizes(json_t *volume) {
        show_size(volume, "capacity", "size");
        show_size(volume, "allocation", "taken");
}

static void add_sizes(json_t *pool) {
        show_size(pool, "capacity", "size");
        show_size(pool, "available", "free");
}

int verb_pools(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "pool", .keys = WORDS("name", "type", "state", "autostart", "path", "capacity", "available"),
                .columns = WORDS("NAME", "TYPE", "STATE", "SIZE", "FREE"), .shown = WORDS("name", "type", "state", "size", "free"),
                .add_words = add_sizes,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, STORAGE1_ROOT, STORAGE1_MANAGER, "ListPools", &reply, NULL);

        return r ?: rows_show_answer(c, reply, &view);
}

/* --- what pools could be made of --- */

static int print_sources(const json_t *list) {
        json_t *source, *value, *device;
        const char *key;
        size_t i, k;

        json_array_foreach(list, i, source) {
                json_object_foreach(source, key, value)
                        if (json_is_string(value))
                                print_line(key, "%s", json_string_value(value));
                        else
                                json_array_foreach(value, k, device)
                                        print_line(k == 0 ? key : "", "%s", json_string_value(device) ?: "");
                putchar('\n');
        }
        return DONE;
}

int verb_find_sources(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        json_auto_t *list = NULL;
        int r = client_new_call(c, &m, STORAGE1_ROOT, STORAGE1_MANAGER, "FindSources");

        if (r != 0)
                return r;
        if (sd_bus_message_append(m, "s", argv[0]) < 0 || sd_bus_message_open_container(m, 'a', "{sv}") < 0)
                return client_fail("out of memory");
        for (int i = 1; i < argc; i++) {
                const char *host = str_after(argv[i], "host="), *port = str_after(argv[i], "port=");
                uint32_t number = 0;

                if (!host && (!port || parse_u32(port, &number) < 0 || number > UINT16_MAX)) {
                        (void) client_fail("\"%s\": expected host=NAME or port=NUMBER", argv[i]);
                        return USAGE;
                }
                r = host ? sd_bus_message_append(m, "{sv}", "host", "s", host) : sd_bus_message_append(m, "{sv}", "port", "t", (uint64_t) number);
                if (r < 0)
                        return client_fail("out of memory");
        }
        if (sd_bus_message_close_container(m) < 0)
                return client_fail("out of memory");
        r = client_send(c, TAKE_PTR(m), &reply);
        if (r != 0)
                return r;
        list = value_to_json(reply);
        if (c->json != JSON_OFF)
                return print_json(c, json_incref(list));
        return print_sources(list);
}
