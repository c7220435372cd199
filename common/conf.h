/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* Settings files: PATH, then PATH.d/<name>.conf in the order of names; later ones win. INI syntax: [Section], Key=Value, lines of
 * '#' or ';' are comments. What is set is described by a table of rows. */

#define CONF_FILE_MAX ((size_t) 1024 * 1024)

typedef struct ConfRow ConfRow;

/* Stores a value; -EINVAL or -ERANGE with *ret_wanted saying what would be right, -ENOMEM. */
typedef int (*ConfParser)(const ConfRow *row, const char *text, void *value, const char **ret_wanted);

struct ConfRow {
        const char *section, *key;
        ConfParser parser;
        size_t offset;               /* of the member in the target struct */
        const EnumTable *words;      /* conf_enum */
        uint64_t min, max;           /* conf_number, conf_size, conf_duration; max 0: no limit */
};

int conf_string(const ConfRow *row, const char *text, void *value, const char **ret_wanted);   /* char * */
int conf_path(const ConfRow *row, const char *text, void *value, const char **ret_wanted);     /* char *, absolute */
int conf_bool(const ConfRow *row, const char *text, void *value, const char **ret_wanted);     /* bool */
int conf_number(const ConfRow *row, const char *text, void *value, const char **ret_wanted);   /* uint64_t */
int conf_size(const ConfRow *row, const char *text, void *value, const char **ret_wanted);     /* uint64_t bytes: "64MiB" */
int conf_duration(const ConfRow *row, const char *text, void *value, const char **ret_wanted); /* uint64_t usec: "90", "5s", "2min" */
int conf_enum(const ConfRow *row, const char *text, void *value, const char **ret_wanted);     /* int */

/* Reads all files into `target`, whose members hold the defaults. Missing files are fine. FAULT_INVALID_ARGS naming file, line and
 * what would be right; the target may then be half filled. */
int conf_load(const char *path, const ConfRow *rows, size_t n, void *target, Fault *f);

/* One text; `path` is its name in messages. For conf_load(), tests and the fuzzer. */
int conf_parse(const char *path, const char *text, const ConfRow *rows, size_t n, void *target, Fault *f);
