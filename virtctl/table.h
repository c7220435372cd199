/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* Prints rows of cells (row-major; the first row is the head) in columns, numbers on the right. On a terminal the widest columns give way until a row
 * fits on a line, then the last ones are left out, and states have their colours. */
void print_table(const char *const *cells, size_t columns, size_t rows);
