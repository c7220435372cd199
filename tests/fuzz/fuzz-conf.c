/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "conf.h"
#include "mem.h"
#include "table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        { "B", "Size", conf_size, offsetof(Target, bytes), NULL, 0, UINT64_C(1) << 40 },
        { "B", "Duration", conf_duration, offsetof(Target, usec), NULL, 0, 0 },
        { "B", "Enum", conf_enum, offsetof(Target, word), &word_table, 0, 0 },
};

/* A refusal says why and where, and what is taken is within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Target t = { .number = 3 };
        _cleanup_free_ char *text = strndup((const char *) data, size);

        if (conf_parse("fuzz.conf", text, rows, ARRAY_SIZE(rows), &t, &f) < 0 && (!f.message || !strstr(f.message, "fuzz.conf")))
                abort();
        if (t.number < 3 || t.number > 1000 || t.bytes > UINT64_C(1) << 40 || t.word < 0 || t.word > 1 || (t.path && t.path[0] != '/'))
                abort();
        free(t.string);
        free(t.path);
        return 0;
}
