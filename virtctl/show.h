/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "client.h"

/* Words for people, and JSON for programs. */

/* "1.5G", as short as it is exact enough. */
void format_size(uint64_t bytes, char *buffer, size_t size);
/* "3min 4s" of a time in microseconds. */
void format_age(uint64_t usec, char *buffer, size_t size);
/* "Sat 2026-11-21 05:17:52 UTC; 3min 4s ago" of a CLOCK_REALTIME time in microseconds. */
void format_since(uint64_t usec, uint64_t now, char *buffer, size_t size);

/* Of an object; "" and 0 where it is not there. */
const char *show_text(const json_t *o, const char *key);
uint64_t show_number(const json_t *o, const char *key);

/* Ends a line that has been begun, as far as this column; on a terminal, text that is too long goes on below from there. */
void print_from(size_t column, const char *text);
/* "       State: running"; on a terminal goes on below where there is no more room. Without a label it is more of the line before. */
void print_line(const char *label, const char *fmt, ...) _printf_(2, 3);

/* Takes over `json`. */
int print_json(const Client *c, json_t *json);
