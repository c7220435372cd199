/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "macro.h"

/* What `virtctl top` shows: what VMs have used between their last two statistics. */

typedef enum TopSort { TOP_CPU, TOP_MEMORY, TOP_DISK, TOP_NET, _TOP_SORT_MAX } TopSort;

typedef struct TopCounters {
        uint64_t cpu_nsec, read, written, received, sent;
} TopCounters;

typedef struct TopRow {
        char *path, *name, *state;
        uint64_t timestamp;          /* of the counters, µs */
        uint64_t seen_usec;          /* CLOCK_MONOTONIC */
        TopCounters counters;
        uint64_t memory;
        bool has_rates;              /* there were two statistics */
        double cpu_percent;          /* of one processor of the host */
        double read, written, received, sent;   /* bytes per second */
} TopRow;

typedef struct Top {
        TopRow *rows;
        size_t n, allocated;
        TopSort sort;
} Top;

/* Statistics of the domain at that path have come. */
void top_update(Top *t, const char *path, uint64_t timestamp, const json_t *statistics);
/* Forgets who has not been heard of since then: it does not run any more. */
void top_forget(Top *t, uint64_t before_usec);
/* At most so many rows; 0: all. */
void top_print(Top *t, size_t rows);
void top_clear(Top *t);
