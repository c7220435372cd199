/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rows.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "pager.h"
#include "show.h"
#include "str.h"
#include "table.h"
#include "values.h"

json_t *rows_with_keys(const json_t *rows, const char *const *keys, size_t n) {
        json_t *all = json_array();
        const json_t *row;
        size_t i;

        json_array_foreach(rows, i, row) {
                json_t *o = json_object();

                for (size_t k = 0; k < n; k++)
                        (void) json_object_set(o, keys[k], json_array_get(row, k));
                (void) json_array_append_new(all, o);
        }
        return all;
}

int rows_print(const Client *c, json_t *list, const char *const *columns, const char *const *keys, size_t n, const char *what) {
        const char **cells = new0(const char *, (json_array_size(list) + 1) * n);
        const json_t *row;
        size_t i;

        if (!cells)
                return client_fail("out of memory");
        memcpy(cells, columns, n * sizeof(*columns));
        json_array_foreach(list, i, row)
                for (size_t k = 0; k < n; k++) {
                        const char *text = json_string_value(json_object_get(row, keys[k]));

                        cells[(i + 1) * n + k] = is_empty(text) ? "-" : text;
                }
        pager_open(c);
        print_table(cells, n, json_array_size(list) + 1);
        free(cells);
        if (!c->quiet)
                printf("\n%zu %s%s listed.\n", json_array_size(list), what, json_array_size(list) == 1 ? "" : str_ends(what, "s") ? "es" : "s");
        return 0;
}

static size_t count(const char *const *words) {
        return strv_length((char *const *) words);
}

int rows_show(const Client *c, json_t *list, const RowsView *view) {
        json_t *row;
        size_t i;

        if (c->json != JSON_OFF)
                return print_json(c, json_incref(list));
        if (view->add_words)
                json_array_foreach(list, i, row)
                        view->add_words(row);
        return rows_print(c, list, view->columns, view->shown ?: view->keys, count(view->columns), view->what);
}

int rows_show_answer(const Client *c, sd_bus_message *answer, const RowsView *view) {
        json_auto_t *rows = value_to_json(answer), *list = rows_with_keys(rows, view->keys, count(view->keys));

        return rows_show(c, list, view);
}
