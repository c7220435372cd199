/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Options: rows of the table in options.c, each for all verbs or for some. */

typedef struct Option {
        const char *name;
        char letter;                    /* 0: none */
        const char *argument;           /* NULL: takes none. "short|pretty" is what can be typed. */
        const char *verbs;              /* separated by spaces; NULL: all */
        const char *help;
        enum { SETS_TRUE, SETS_FALSE, SETS_TEXT, SETS_JSON, IS_GIVEN } effect;
        size_t field;                   /* of Client; IS_GIVEN: option_given() has it */
        bool common;                    /* among those for all in the help, although it is for some */
} Option;

extern const Option options[];
extern const size_t n_options;

bool option_is_for(const Option *o, const char *verb);

/* Takes the options out of the command line. *ret gets the other words (to be freed, the words not). 0, or an exit status. */
int options_parse(Client *c, int argc, char **argv, char ***ret_words, int *ret_n);
