/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include "../device/device.h"
#include "../device/memory-backend.h"
#include "../device/memory.h"
#include "domain.h"
#include "numa.h"
#include "str.h"
#include "xml-read.h"

/* QEMU's own name of it on a PC: guests that are migrated have it that way. */
#define BACKEND "pc.ram"

static bool wants_backend(const DomainDef *def) {
        const MemoryBacking *m = &def->memory_backing;

        if (def->numa.cells.n > 0)
                return false; /* each has its own */
        return def->numa.nodes || m->hugepages || m->source >= MEMORY_MEMFD || m->access != MEMORY_ACCESS_NONE ||
               m->allocation == ALLOCATION_IMMEDIATE || m->discard;
}

/* Bytes; NUMBER_UNSET: no number that means anything. */
static uint64_t page_size(const HugePage *p) {
        return size_with_unit(p->size, p->unit);
}

static int check_page(const DomainDef *def, Fault *f) {
        const HugePage *p = def->memory_backing.pages.n > 0 ? (const HugePage *) def->memory_backing.pages.items[0] : NULL;
        uint64_t size = p ? page_size(p) : 0;

        if (!p)
                return 0;
        if (def->memory_backing.pages.n > 1 || p->nodeset)
                return xml_fault(&p->head, f, FAULT_NOT_SUPPORTED, "one size of huge pages for all of the memory is supported");
        if (size == NUMBER_UNSET || size < 4096 || !number_is_power_of_two(size))
                return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "a page has a size such as 2 MiB or 1 GiB");
        if (domain_boot_memory(def) % size != 0)
                return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "%" PRIu64 " KiB of memory are no multiple of the page's %" PRIu64 " KiB",
                                 domain_boot_memory(def) / 1024, size / 1024);
        return 0;
}

int memory_check(const DomainDef *def, Fault *f) {
        const MemoryBacking *m = &def->memory_backing;

        if (m->hugepages && m->source == MEMORY_ANONYMOUS)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "memoryBacking/source", "huge pages come from memfd, not from 'anonymous'");
        return check_page(def, f);
}

void memory_machine(const DomainDef *def, Text *t) {
        if (wants_backend(def))
                text_add(t, ",memory-backend=" BACKEND);
        if (def->memory_backing.nosharepages)
                text_add(t, ",mem-merge=off");
}

int memory_args(const DomainDef *def, Args *a) {
        MemoryPiece piece = { .id = BACKEND, .size = domain_boot_memory(def) };
        int r = def->memory_backing.locked ? args_option(a, "-overcommit", "mem-lock=on") : 0;

        if (r < 0 || !wants_backend(def))
                return r;
        piece.nodes = numa_nodes(def, &piece.mode);
        return memory_backend_args(a, &piece);
}

static int want_file(WantedFiles *requests, const DomainDef *def, const MemoryPiece *piece) {
        const WantedFile file = { .want = WANTED_MEMORY, .key = (char *) piece->id, .writable = true, .lease = LEASE_NONE, .line = def->head.line };

        if (!piece->id)
                return -ENOMEM;
        return memory_is_file(def, piece) ? wanted_files_add(requests, &file) : 0;
}

int memory_files(const DomainDef *def, WantedFiles *requests) {
        int r = wants_backend(def) && domain_boot_memory(def) > 0 ? want_file(requests, def, &(MemoryPiece) { .id = BACKEND }) : 0;

        RECORD_FOREACH(NumaCell, c, def->numa.cells) {
                _cleanup_free_ char *id = numa_backend(c);

                r = r < 0 ? r : want_file(requests, def, &(MemoryPiece) { .id = id });
        }
        for (size_t i = 0; i < def->devices.n && r >= 0; i++) {
                _cleanup_free_ char *id = NULL;
                MemoryPiece piece = {};

                r = memory_device_piece((const Device *) def->devices.items[i], &piece, &id);
                if (r > 0)
                        r = want_file(requests, def, &piece);
        }
        return r < 0 ? r : 0;
}
