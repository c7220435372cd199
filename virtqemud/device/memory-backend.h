/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "../def/domain-def.h"
#include "args.h"

/* A piece of the guest's memory as QEMU's object. */
typedef struct MemoryPiece {
        const char *id;
        uint64_t size;               /* bytes */
        int access;                  /* MemoryAccess; NONE: as <memoryBacking> says */
        uint64_t page;               /* size of huge pages; 0: as <memoryBacking> says */
        uint64_t cell;               /* of the guest, for whose memory there may be pages of another size */
        int mode;                    /* NumaMode: how it keeps to … */
        const char *nodes;           /* … these nodes of the host; NULL: any */
        bool sparse;                 /* most of it will never be used */
} MemoryPiece;

/* Of which pages the memory of a cell is; NULL: no <page> is for it. */
const HugePage *memory_page_of(const MemoryBacking *m, uint64_t cell);
/* Appends the object. */
int memory_backend_args(Args *a, const MemoryPiece *piece);
/* Whether such pieces are files: each needs one then, WANTED_MEMORY, whose key is the piece's id. */
bool memory_is_file(const DomainDef *def, const MemoryPiece *piece);

/* What the guest has when it starts without what is plugged in: <memory> counts both. Bytes; 0: nothing is left. */
uint64_t domain_boot_memory(const DomainDef *def);

/* Whether another program can see the guest's memory, which `who` has to for the device of that record. FAULT_INVALID_DEFINITION. */
int memory_check_shared(const DomainDef *def, const Record *device, const char *who, Fault *f);
