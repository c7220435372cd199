/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Lists of what a daemon has. */

/* A list of lists as one of objects. */
json_t *rows_with_keys(const json_t *rows, const char *const *keys, size_t n);
/* Prints a list of objects, whose values under `keys` are text, as a table; `what` is one of them. 0, or an exit status. */
int rows_print(const Client *c, json_t *list, const char *const *columns, const char *const *keys, size_t n, const char *what);
