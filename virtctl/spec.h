/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values of options that say several things: WHAT[,KEY=VALUE...]. A comma that belongs to a word is written twice. */

typedef struct SpecKey {
        const char *name;
        enum { SPEC_TEXT, SPEC_SIZE, SPEC_YES_NO } type;   /* of the field: char *, uint64_t in bytes, bool */
        size_t field;
        const char *choices;                               /* "a|b": what the value may be; NULL: anything */
} SpecKey;

/* Fills fields of `into` (whose texts are to be freed by the caller) and gives the first word, or NULL where a key stands at once. Tells what is wrong
 * with `--option`. 0, or an exit status. */
int spec_read(const char *option, const char *text, const SpecKey *keys, size_t n, void *into, char **ret_what);
/* Whether the word is one of "a|b|c". */
bool spec_is_choice(const char *word, const char *choices);
