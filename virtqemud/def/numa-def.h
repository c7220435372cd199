/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "memory-def.h"
#include "record.h"

/* What becomes of memory that its nodes of the host have not got. */
typedef enum NumaMode {
        NUMA_MODE_NONE,
        NUMA_STRICT,
        NUMA_PREFERRED,
        NUMA_INTERLEAVE,
        NUMA_RESTRICTIVE,
        _NUMA_MODE_MAX,
        _NUMA_MODE_INVALID = -EINVAL,
} NumaMode;
DECLARE_ENUM(NumaMode, numa_mode);

/* <cpu><numa><cell>: a node of the guest. */
typedef struct NumaCell {
        Record head;
        uint64_t id;             /* NUMBER_UNSET: its place in the list */
        char *cpus;              /* "0-3"; NULL: none */
        uint64_t memory;         /* in units */
        char *unit;              /* NULL: KiB */
        int access;              /* MemoryAccess */
        Tristate discard;
        RecordList distances;    /* NumaDistance */
        RecordList caches;       /* NumaCache */
} NumaCell;

/* <cell><cache>: one that stands before the memory of a node. */
typedef struct NumaCache {
        Record head;
        uint64_t level, size, line;
        int associativity, policy;
        char *size_unit, *line_unit;
} NumaCache;

/* <interconnects><latency> and <bandwidth>: from a node's CPUs to a node's memory, or to a cache before it. */
typedef struct NumaLink {
        Record head;
        uint64_t initiator, target, cache; /* the last is a level; NUMBER_UNSET: the memory itself */
        int type;                /* access, read, write */
        uint64_t value;          /* nanoseconds; or bytes in a second, in units */
        char *unit;              /* NULL: KiB */
} NumaLink;

/* <distances><sibling>: how far another node is; 10 is here. */
typedef struct NumaDistance {
        Record head;
        uint64_t id, value;
} NumaDistance;

/* <numatune><memnode>: where the memory of one node of the guest is. */
typedef struct NumaPlace {
        Record head;
        uint64_t cell;
        int mode;                /* NumaMode */
        char *nodes;
} NumaPlace;

typedef struct Numa {
        RecordList cells;        /* NumaCell */
        int mode, placement;     /* <numatune><memory>: NumaMode, 1 static, 2 auto */
        char *nodes;
        RecordList places;       /* NumaPlace */
        RecordList latencies, bandwidths; /* NumaLink */
} Numa;

/* Its memory in bytes; NUMBER_UNSET: no number that means anything. */
uint64_t numa_cell_size(const NumaCell *c);
uint64_t numa_cache_size(const NumaCache *c);
/* A number in KiB, or in the unit that is named, likewise. */
uint64_t size_with_unit(uint64_t number, const char *unit);

extern const RecordType numa_cell_record, numa_place_record, numa_latency_record, numa_bandwidth_record;
extern const EnumTable numa_placement_table;
