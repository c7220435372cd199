/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* Programs that the worker runs and waits for. They die with it. */

#define PROGRAM_OUTPUT_MAX ((size_t) 16 * 1024 * 1024)
#define PROGRAM_WORDS_MAX ((size_t) 2048)

/* More than two are wanted by no program. */
#define PROGRAM_SECRETS_MAX 2u
typedef struct SecretValue {
        const void *data;            /* NULL: none */
        size_t length;
} SecretValue;

typedef struct ProgramSpec {
        char *const *argv;           /* argv[0] is looked for in the system's folders */
        const char *input;           /* standard input; NULL: nothing */
        SecretValue secrets[PROGRAM_SECRETS_MAX]; /* come as descriptors 7 and 8 */
        /* Files and folders that are all it may touch, beside the system's own, which it may read; NULL: no such limit. */
        const char *const *readable, *const *writable;
        bool network;                /* may talk to others */
        /* Called with all it has printed on standard output so far. */
        void (*said)(const char *text, void *userdata);
        void *userdata;
        size_t *output_length;       /* of what is not text; NULL: it is */
} ProgramSpec;

/* FAULT_POOL with its last words if it fails. `ret_output` may be NULL. */
int program_run(const ProgramSpec *spec, char **ret_output, Fault *f);
