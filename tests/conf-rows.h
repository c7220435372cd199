/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>

#include "conf.h"
#include "table.h"

/* Settings of every kind, for the test of conf.c and its fuzz target. */
typedef struct Target {
        char *string, *path;
        bool yes;
        uint64_t number, bytes, usec;
        int word;
} Target;

static const char *const words[] = { "auto", "never" };
static const EnumTable word_table = { words, 2 };

static const ConfRow rows[] = {
        { "A", "String", conf_string, offsetof(Target, string), NULL, 0, 0 },
        { "A", "Path", conf_path, offsetof(Target, path), NULL, 0, 0 },
        { "A", "Bool", conf_bool, offsetof(Target, yes), NULL, 0, 0 },
        { "B", "Number", conf_number, offsetof(Target, number), NULL, 3, 1000 },
        { "B", "Size", conf_size, offsetof(Target, bytes), NULL, 0, UINT64_C(1) << 60 },
        { "B", "Duration", conf_duration, offsetof(Target, usec), NULL, 0, 0 },
        { "B", "Mode", conf_enum, offsetof(Target, word), &word_table, 0, 0 },
};

static void target_clear(Target *t) {
        free(t->string);
        free(t->path);
        *t = (Target) {};
}
