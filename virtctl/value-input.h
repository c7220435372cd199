/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "macro.h"

/* Values that nobody else is to see: passwords, keys. */
typedef struct ValueInput {
        char *data;
        size_t length;
} ValueInput;
void value_input_clear(ValueInput *v);
#define _cleanup_value_input_ _cleanup_(value_input_clear)

/* The content of a file ("-": standard input), or where it is NULL a line that is asked for: "WHAT: ". 0, or an exit status; it has been told. */
int value_input_read(const char *what, const char *file, ValueInput *ret);
