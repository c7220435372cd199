/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hmat.h"

#include <inttypes.h>
#include <string.h>

#include "str.h"
#include "xml-read.h"

#define CELL_FOREACH(c, def) RECORD_FOREACH(NumaCell, c, (def)->numa.cells)
#define LEVELS 3u

bool hmat_any(const DomainDef *def) {
        CELL_FOREACH(c, def)
                if (c->caches.n > 0)
                        return true;
        return def->numa.latencies.n > 0 || def->numa.bandwidths.n > 0;
}

/* --- rules --- */

static const NumaCell *find_cell(const DomainDef *def, uint64_t id) {
        return id < def->numa.cells.n ? (const NumaCell *) def->numa.cells.items[id] : NULL;
}

static int check_caches(const NumaCell *c, Fault *f) {
        unsigned seen = 0;

        RECORD_FOREACH(NumaCache, cache, c->caches) {
                if (seen & 1u << cache->level)
                        return xml_fault(&cache->head, f, FAULT_INVALID_DEFINITION, "the cell has a cache of level %" PRIu64 " already", cache->level);
                if (numa_cache_size(cache) == NUMBER_UNSET || size_with_unit(cache->line, cache->line_unit ?: "B") > UINT16_MAX)
                        return xml_fault(&cache->head, f, FAULT_INVALID_DEFINITION, "its size or the length of its lines is no number that means anything");
                seen |= 1u << cache->level;
        }
        return 0;
}

static int check_link(const NumaLink *l, const DomainDef *def, Fault *f) {
        const NumaCell *from = find_cell(def, l->initiator), *to = find_cell(def, l->target);

        if (!from || !to)
                return xml_fault(&l->head, f, FAULT_INVALID_DEFINITION, "there is no cell %" PRIu64, from ? l->target : l->initiator);
        if (!from->cpus)
                return xml_fault(&l->head, f, FAULT_INVALID_DEFINITION, "cell %" PRIu64 " has no CPUs, so nothing there reads or writes", l->initiator);
        if (l->cache == NUMBER_UNSET)
                return 0;
        RECORD_FOREACH(NumaCache, cache, to->caches)
                if (cache->level == l->cache)
                        return 0;
        return xml_fault(&l->head, f, FAULT_INVALID_DEFINITION, "cell %" PRIu64 " has no cache of level %" PRIu64, l->target, l->cache);
}

int hmat_check(const DomainDef *def, Fault *f) {
        int r = 0;

        CELL_FOREACH(c, def)
                r = r < 0 ? r : check_caches(c, f);
        RECORD_FOREACH(NumaLink, l, def->numa.latencies)
                r = r < 0 ? r : check_link(l, def, f);
        RECORD_FOREACH(NumaLink, l, def->numa.bandwidths)
                r = r < 0 ? r : check_link(l, def, f);
        return r;
}

/* --- QEMU --- */

uint64_t hmat_initiator(const DomainDef *def, const NumaCell *c) {
        RECORD_FOREACH(NumaLink, l, def->numa.bandwidths)
                if (l->target == c->id)
                        return l->initiator;
        RECORD_FOREACH(NumaLink, l, def->numa.latencies)
                if (l->target == c->id)
                        return l->initiator;
        CELL_FOREACH(other, def)
                if (other->cpus)
                        return other->id;
        return 0;
}

static int add_link(const NumaLink *l, bool latency, Args *a) {
        static const char *const hierarchies[] = { "memory", "first-level", "second-level", "third-level" };
        static const char *const types[] = { "access", "access", "read", "write" };
        const char *what = latency ? "latency" : "bandwidth";
        uint64_t level = l->cache == NUMBER_UNSET ? 0 : l->cache;
        _cleanup_free_ char *value = latency ? strf("%" PRIu64, l->value) : strf("%" PRIu64 "K", size_with_unit(l->value, l->unit) / 1024);

        return !value ? -ENOMEM : args_option(a, "-numa", "hmat-lb,initiator=%" PRIu64 ",target=%" PRIu64 ",hierarchy=%s,data-type=%s-%s,%s=%s", l->initiator,
                                              l->target, hierarchies[MIN(level, LEVELS)], types[l->type], what, what, value);
}

static int add_cache(const NumaCell *c, const NumaCache *cache, Args *a) {
        static const char *const associativities[] = { "none", "none", "direct", "complex" };
        static const char *const policies[] = { "none", "none", "write-back", "write-through" };

        return args_option(a, "-numa", "hmat-cache,node-id=%" PRIu64 ",size=%" PRIu64 ",level=%" PRIu64 ",associativity=%s,policy=%s,line=%" PRIu64, c->id,
                           numa_cache_size(cache), cache->level, associativities[cache->associativity], policies[cache->policy],
                           size_with_unit(cache->line, cache->line_unit ?: "B"));
}

/* The links of a node have to be known before its caches. */
int hmat_args(const DomainDef *def, Args *a) {
        int r = 0;

        RECORD_FOREACH(NumaLink, l, def->numa.latencies)
                r = r < 0 ? r : add_link(l, true, a);
        RECORD_FOREACH(NumaLink, l, def->numa.bandwidths)
                r = r < 0 ? r : add_link(l, false, a);
        for (uint64_t level = 1; level <= LEVELS; level++)
                CELL_FOREACH(c, def)
                        RECORD_FOREACH(NumaCache, cache, c->caches)
                                if (cache->level == level)
                                        r = r < 0 ? r : add_cache(c, cache, a);
        return r;
}
