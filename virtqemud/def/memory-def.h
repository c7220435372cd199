/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

typedef enum MemorySource {
        MEMORY_SOURCE_NONE,
        MEMORY_ANONYMOUS,
        MEMORY_MEMFD,
        MEMORY_FILE,
        _MEMORY_SOURCE_MAX,
        _MEMORY_SOURCE_INVALID = -EINVAL
} MemorySource;
DECLARE_ENUM(MemorySource, memory_source);

typedef enum MemoryAccess { MEMORY_ACCESS_NONE, MEMORY_PRIVATE, MEMORY_SHARED, _MEMORY_ACCESS_MAX, _MEMORY_ACCESS_INVALID = -EINVAL } MemoryAccess;
DECLARE_ENUM(MemoryAccess, memory_access);

typedef enum MemoryAllocation {
        ALLOCATION_NONE,
        ALLOCATION_IMMEDIATE,
        ALLOCATION_ONDEMAND,
        _MEMORY_ALLOCATION_MAX,
        _MEMORY_ALLOCATION_INVALID = -EINVAL,
} MemoryAllocation;
DECLARE_ENUM(MemoryAllocation, memory_allocation);

/* <memoryBacking>. */
typedef struct MemoryBacking {
        bool hugepages;
        RecordList pages;        /* HugePage */
        bool nosharepages, locked, discard;
        int source;              /* MemorySource */
        int access;              /* MemoryAccess */
        int allocation;          /* MemoryAllocation */
        uint64_t allocation_threads;
} MemoryBacking;

/* <page size= unit= nodeset=>. */
typedef struct HugePage {
        Record head;
        uint64_t size;
        char *unit, *nodeset;
} HugePage;
