/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include "../device/memory-backend.h"

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
        return def->numa.nodes || m->hugepages || m->source == MEMORY_MEMFD || m->access != MEMORY_ACCESS_NONE ||
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
        int r;

        if (m->source == MEMORY_FILE) {
                r = domain_fault(def, f, FAULT_NOT_SUPPORTED, "memoryBacking/source", "type 'file' is not supported: QEMU opens no files");
                fault_hint(f, "type 'memfd' is shared memory as well");
                return r;
        }
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
        return args_json(a, ARG_OBJECT, memory_backend(def, &piece));
}
