/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "client.h"

/* Words for people, and JSON for programs. */

bool color_wanted(void);
/* ANSI sequence for a state, and the one that ends it; "" where there is no colour. */
const char *color_of_state(const char *state);
const char *color_off(void);

/* "1.5G", as short as it is exact enough. */
void format_size(uint64_t bytes, char *buffer, size_t size);
/* "Sat 2026-11-21 05:17:52 UTC; 3min 4s ago" of a CLOCK_REALTIME time in microseconds. */
void format_since(uint64_t usec, uint64_t now, char *buffer, size_t size);

/* Of an object; "" and 0 where it is not there. */
const char *show_text(const json_t *o, const char *key);
uint64_t show_number(const json_t *o, const char *key);

/* "       State: running" */
void print_line(const char *label, const char *fmt, ...) _printf_(2, 3);
/* Prints rows of cells (row-major; the first row is the head) in columns. */
void print_table(const char *const *cells, size_t columns, size_t rows);

/* Takes over `json`. */
int print_json(const Client *c, json_t *json);
