/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"
#include "table.h"

/* Statistics of a domain come in groups. Each is sampled by itself and has an age of its own. */
typedef enum StatsGroup {
        STATS_STATE,
        STATS_CPU,             /* of QEMU's process and of the unit */
        STATS_VCPU,            /* of each thread that is a processor */
        STATS_MEMORY,          /* of the host, that QEMU has */
        STATS_BALLOON,         /* that the guest was left */
        STATS_GUEST_MEMORY,    /* as the guest tells through its balloon */
        STATS_BLOCK,
        STATS_BLOCK_BACKING,   /* sizes of images and of the layers below them */
        STATS_BLOCK_LATENCY,
        STATS_NET,
        STATS_DIRTY_RATE,      /* what was measured last */
        STATS_JOB,
        STATS_VCPU_HALT,       /* how long processors had nothing to do */
        _STATS_GROUP_MAX,
        _STATS_GROUP_INVALID = -EINVAL,
} StatsGroup;
DECLARE_ENUM(StatsGroup, stats_group);

#define STATS_BIT(group) (UINT64_C(1) << (group))
#define STATS_ALL (STATS_BIT(_STATS_GROUP_MAX) - 1)
/* Who names no group gets those that cost QEMU little. */
#define STATS_USUAL (STATS_ALL & ~(STATS_BIT(STATS_BLOCK_BACKING) | STATS_BIT(STATS_BLOCK_LATENCY) | STATS_BIT(STATS_DIRTY_RATE) | \
                                    STATS_BIT(STATS_VCPU_HALT)))

#define STATS_KEY_MAX 48u

/* "block.0.rd.bytes" and what it is. */
typedef struct StatsValue {
        char key[STATS_KEY_MAX];
        char type;             /* D-Bus's: 't', 'b', 's', or 'a' for a list of 't' */
        union {
                uint64_t number;
                char *text;
                struct {
                        uint64_t *items;
                        size_t n;
                } list;
        };
} StatsValue;

/* One sample of one group. All zeroes is an empty one that was never taken. */
typedef struct StatsSet {
        StatsValue *items;
        size_t n, allocated;
        uint64_t usec;         /* CLOCK_MONOTONIC; 0: never */
} StatsSet;

/* Forgets the values and is a sample of now. */
void stats_set_begin(StatsSet *s);
void stats_set_clear(StatsSet *s);

/* What there is no memory for is left out. */
void stats_number(StatsSet *s, uint64_t value, const char *fmt, ...) _printf_(3, 4);
void stats_flag(StatsSet *s, bool value, const char *fmt, ...) _printf_(3, 4);
/* NULL is left out; no more than 4095 bytes are kept. */
void stats_text(StatsSet *s, const char *value, const char *fmt, ...) _printf_(3, 4);
/* Takes over `items`. */
void stats_list(StatsSet *s, uint64_t *items, size_t n, const char *fmt, ...) _printf_(4, 5);
