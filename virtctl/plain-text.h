/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "str.h"

/* Text from a guest, which may be anything: made harmless for a terminal, and valid for JSON. */

typedef struct PlainText {
        enum { PLAIN, ESCAPED, CONTROL, COMMAND, COMMAND_ESCAPED, LATIN } state;      /* within what a part has ended */
        Text text;                    /* for who collects it first */
} PlainText;

/* Writes what is text; sequences that would do something to a terminal are left out. */
void plain_text_write(PlainText *p, const char *data, size_t n, FILE *out);
/* What is in `text`; bytes that are no UTF-8 become U+FFFD. */
json_t *plain_text_to_json(PlainText *p);
