/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What a verb's words say of its arguments: WORD must be there, [WORD] may, WORD... as often as wanted. FILE, NAME and their like say what it is, as
 * completion.c knows; small letters with | between them are what can be typed. */

typedef struct UsageWord {
        const char *text;        /* without brackets and dots, not ended by 0 */
        size_t length;
        bool optional, many;
} UsageWord;

/* The word at an index; the last one, if it may come often, is there for each that follows. False: there is none. */
bool usage_word(const char *arguments, size_t index, UsageWord *ret);
/* How many there must be, and may be; -1: any number. */
void usage_count(const char *arguments, int *ret_min, int *ret_max);
/* Whether the last argument is a program's own, options included; *ret is its index. */
bool usage_ends_raw(const char *arguments, int *ret);
