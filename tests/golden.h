/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Golden data: a folder with one folder per case; a case has an input and the outputs expected of it. REGEN=1 in the environment
 * rewrites what is expected; the change is then reviewed as a diff. */

#define GOLDEN_NAME_MAX 256

/* Calls `run` for each case in alphabetical order. The path is that of the case's folder. Fails if there is none. */
typedef void (*GoldenCase)(const char *path, const char *name, void *userdata);
void golden_scan(const char *folder, GoldenCase run, void *userdata);

/* The file in a case's folder, or NULL if it does not exist. The caller frees. */
char *golden_read(const char *path, const char *file, size_t *ret_length);

/* Compares; prints the first line that differs. NULL: the file must not exist. Returns whether all is well; with REGEN always. */
bool golden_compare(const char *path, const char *file, const char *actual);
