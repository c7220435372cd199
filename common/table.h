/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include "macro.h"

/* Enum <-> string. Every enum that is ever written or read has the shape { X_A, …, _X_MAX, _X_INVALID = -EINVAL }, so an
 * unknown word travels as an error inside the enum type itself. */
typedef struct EnumTable {
        const char *const *words;
        int n;
} EnumTable;

static inline const char *enum_to_word(const EnumTable *t, int value) {
        return value >= 0 && value < t->n ? t->words[value] : NULL;
}

static inline int enum_from_word(const EnumTable *t, const char *word) {
        for (int i = 0; word && i < t->n; i++)
                if (t->words[i] && strcmp(t->words[i], word) == 0)
                        return i;
        return -EINVAL;
}

#define DECLARE_ENUM(type, name)                                                                        \
        extern const EnumTable name##_table;                                                            \
        const char *name##_to_string(type value);                                                       \
        type name##_from_string(const char *word)

#define DEFINE_ENUM(type, name, ...)                                                                    \
        static const char *const name##_words[] = { __VA_ARGS__ };                                      \
        const EnumTable name##_table = { name##_words, (int) ARRAY_SIZE(name##_words) };                \
        const char *name##_to_string(type value) { return enum_to_word(&name##_table, (int) value); }   \
        type name##_from_string(const char *word) { return (type) enum_from_word(&name##_table, word); }
