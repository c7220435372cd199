/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "stats-set.h"

/* Samples of what running domains do. What the host's kernel knows is read when it is asked for. QEMU is asked over its monitor,
 * and nobody waits longer than STATS_DEADLINE_USEC for it: one that does not answer has its own samples grow old, and is asked
 * nothing more until it does.
 *
 * Nothing is sampled for nobody. Who takes samples that are up to STATS_INTERVAL_USEC old and comes again within
 * STATS_INTEREST_USEC finds them ready: as long, QEMUs are asked again at that interval for what he wanted. */
#define STATS_DEADLINE_USEC UINT64_C(100000)
#define STATS_INTERVAL_USEC UINT64_C(5000000)
#define STATS_INTEREST_USEC UINT64_C(60000000)
#define STATS_AGE_USEC UINT64_C(10000000)     /* that a sample of QEMU's may have unless a caller says something else … */
#define STATS_AGE_MIN_USEC UINT64_C(500000)   /* … which is never less than this, … */
#define STATS_HOST_AGE_USEC UINT64_C(100000)  /* … and of the host's at most. */
#define STATS_COLLECTS_MAX 256u               /* that wait; further ones take what is there */

typedef struct StatsCollect StatsCollect;
/* The samples are as good as they get. */
typedef void (*StatsDone)(void *userdata);

/* Takes samples of these domains, or of all if there are none, that are older than `max_age`. `done` is called exactly once,
 * perhaps at once, at the latest when the Manager goes. With `ret` it can be forgotten until then: NULL there after done() was
 * called. */
int stats_collect(Manager *m, const sd_id128_t *ids, size_t n, uint64_t groups, uint64_t max_age, StatsDone done, void *userdata,
                  StatsCollect **ret);
/* Forgets it: done() is not called. */
StatsCollect *stats_collect_free(StatsCollect *c);
DEFINE_CLEANUP(StatsCollect *, stats_collect_free)

/* The last sample of a group; NULL: there is none. Not of STATS_STATE and STATS_JOB, which Domain has. */
const StatsSet *stats_find(const Domain *d, StatsGroup group);
/* Whether QEMU was asked for a newer one and has not answered in time, or can't be asked. */
bool stats_is_stale(const Domain *d, StatsGroup group);

/* Part of an Instance, and of a Manager. */
typedef struct DomainStats DomainStats;
typedef struct Sampler Sampler;
DomainStats *domain_stats_free(DomainStats *s);
Sampler *sampler_free(Sampler *s);
