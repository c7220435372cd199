/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include "domain.h"
#include "str.h"
#include "xml-read.h"

/* QEMU's own name of it on a PC: guests that are migrated have it that way. */
#define BACKEND "pc.ram"

static bool wants_backend(const DomainDef *def) {
        const MemoryBacking *m = &def->memory_backing;

        return m->hugepages || m->source == MEMORY_MEMFD || m->access != MEMORY_ACCESS_NONE || m->allocation == ALLOCATION_IMMEDIATE || m->discard;
}

static bool is_shared(const DomainDef *def) {
        return def->memory_backing.access == MEMORY_SHARED;
}

/* Bytes; 0: the kernel's usual size, NUMBER_UNSET: no number that means anything. */
static uint64_t page_size(const HugePage *p) {
        uint64_t factor = 1024, bytes;

        if (p->unit && parse_size_unit(p->unit, &factor) < 0)
                return NUMBER_UNSET;
        return __builtin_mul_overflow(p->size, factor, &bytes) ? NUMBER_UNSET : bytes;
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
        if (def->memory % size != 0)
                return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "%" PRIu64 " KiB of memory are no multiple of the page's %" PRIu64 " KiB",
                                 def->memory / 1024, size / 1024);
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
        if (m->locked) {
                r = domain_fault(def, f, FAULT_NOT_SUPPORTED, "memoryBacking/locked", "locked memory is not supported");
                fault_hint(f, "<hugepages/> are never swapped out; MemorySwapMax=0 in a drop-in of the VM's unit keeps it from swap, too");
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

static int add_hugepages(const MemoryBacking *m, json_t *json) {
        if (!m->hugepages)
                return 0;
        if (json_object_set_new(json, "hugetlb", json_true()) < 0)
                return -ENOMEM;
        if (m->pages.n == 0)
                return 0;
        return json_object_set_new(json, "hugetlbsize", json_integer((json_int_t) page_size((const HugePage *) m->pages.items[0]))) < 0 ? -ENOMEM : 0;
}

int memory_args(const DomainDef *def, Args *a) {
        const MemoryBacking *m = &def->memory_backing;
        bool memfd = m->hugepages || m->source == MEMORY_MEMFD;
        json_auto_t *json = NULL;
        int r;

        if (!wants_backend(def))
                return 0;
        json = json_pack("{s:s, s:s, s:I, s:b}", "qom-type", memfd ? "memory-backend-memfd" : "memory-backend-ram", "id", BACKEND, "size",
                         (json_int_t) def->memory, "share", (int) is_shared(def));
        r = json ? add_hugepages(m, json) : -ENOMEM;
        if (r >= 0 && m->allocation == ALLOCATION_IMMEDIATE && json_object_set_new(json, "prealloc", json_true()) < 0)
                r = -ENOMEM;
        return r < 0 ? r : args_json(a, ARG_OBJECT, json_incref(json));
}
