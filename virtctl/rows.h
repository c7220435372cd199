/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Lists of what a daemon has. */

/* A list of lists as one of objects. */
json_t *rows_with_keys(const json_t *rows, const char *const *keys, size_t n);

/* How a list is shown. */
typedef struct RowsView {
        const char *what;                     /* one of them */
        const char *const *keys;              /* of what a struct of an answer has */
        const char *const *columns, *const *shown; /* of the table: headings, and the keys of what stands below; shown NULL: the first keys */
        void (*add_words)(json_t *row);       /* what people read where programs get numbers; may be NULL */
} RowsView;
#define WORDS(...) (const char *const[]) { __VA_ARGS__, NULL }

/* As JSON, or as a table. 0, or an exit status. */
int rows_show(const Client *c, json_t *list, const RowsView *view);
/* Likewise an answer that is a list of structs. */
int rows_show_answer(const Client *c, sd_bus_message *answer, const RowsView *view);

/* Prints a list of objects, whose values under `keys` are text, as a table; `what` is one of them. 0, or an exit status. */
int rows_print(const Client *c, json_t *list, const char *const *columns, const char *const *keys, size_t n, const char *what);
