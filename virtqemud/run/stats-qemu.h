/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "../def/domain-def.h"
#include "stats-set.h"

/* What QEMU answers, as statistics. Pure, and nothing an answer may hold does any harm. */

/* query-balloon */
void stats_read_balloon(const DomainDef *def, const json_t *result, StatsSet *s);
/* qom-get of a balloon's guest-stats */
void stats_read_guest_memory(const json_t *result, StatsSet *s);
/* query-blockstats; of both groups. */
void stats_read_block(const DomainDef *def, const json_t *result, StatsSet *block, StatsSet *latency);
/* query-block */
void stats_read_backing(const DomainDef *def, const json_t *result, StatsSet *s);
/* query-dirty-rate */
void stats_read_dirty_rate(const json_t *result, StatsSet *s);
/* What is asked for with it, all in ns: what KVM calls it. */
#define STATS_HALT_NAMES { "halt_wait_ns", "halt_poll_success_ns", "halt_poll_fail_ns" }
/* query-stats of processors: only KVM counts that. */
void stats_read_halt(const json_t *result, StatsSet *s);

/* The devices in an answer of query-blockstats that do not count how long requests take: their names for
 * block-latency-histogram-set, each a borrowed string, at most `max`. */
size_t stats_find_uncounted(const DomainDef *def, const json_t *result, const char **ret, size_t max);
