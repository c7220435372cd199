/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* A line that QEMU or the agent in a guest has sent; neither is trusted. */

/* Whether it nests deeper. To be asked before parsing, because a parser that recurses spends our stack on it. */
bool json_line_is_deep(const char *line, size_t length, unsigned max);
/* NULL: see `error`. An integer beyond INT64_MAX, which is legal in QMP, but makes the parser reject the whole document, becomes a string. */
json_t *json_line_parse(const char *line, size_t length, json_error_t *error);
