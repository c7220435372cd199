/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include "../device/device.h"
#include "../device/memory-backend.h"
#include "../def/cpu-set.h"
#include "../device/memory.h"
#include "domain.h"
#include "mem.h"
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

static int check_size(const HugePage *p, uint64_t memory, Fault *f) {
        uint64_t size = size_with_unit(p->size, p->unit);

        if (size == NUMBER_UNSET || size < 4096 || !number_is_power_of_two(size))
                return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "a page has a size such as 2 MiB or 1 GiB");
        if (memory % size != 0)
                return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "%" PRIu64 " KiB of memory are no multiple of the page's %" PRIu64 " KiB",
                                 memory / 1024, size / 1024);
        return 0;
}

/* Each cell of the guest, which is one of number 0 where none are described, has pages of one size. */
static int check_nodes(const DomainDef *def, uint8_t *seen, const HugePage *p, Fault *f) {
        size_t cells = MAX(def->numa.cells.n, (size_t) 1), n;
        _cleanup_free_ uint8_t *set = NULL;

        if (cpu_set_read(p->nodeset, &set, &n) < 0)
                return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "@nodeset: '%.64s' is no list of nodes such as 0-3,^2", p->nodeset);
        for (size_t i = 0; i < n * 8; i++) {
                if ((set[i / 8] & (1u << i % 8)) == 0)
                        continue;
                if (i >= cells)
                        return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "@nodeset: the guest has no cell %zu", i);
                if (seen[i / 8] & (1u << i % 8))
                        return xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "@nodeset: cell %zu has pages of another size already", i);
                seen[i / 8] |= (uint8_t) (1u << i % 8);
        }
        return 0;
}

static int check_pages(const DomainDef *def, Fault *f) {
        _cleanup_free_ uint8_t *seen = new0(uint8_t, CPU_SET_MAX / 8);
        const HugePage *usual = NULL;
        int r = 0;

        if (!seen)
                return fault_oom(f);
        RECORD_FOREACH(HugePage, p, def->memory_backing.pages) {
                if (r >= 0 && !p->nodeset && usual)
                        r = xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "one size is for all cells that no other one names: this has no nodeset either");
                if (!p->nodeset)
                        usual = p;
                if (r >= 0)
                        r = check_size(p, 0, f);
                if (r >= 0 && p->nodeset)
                        r = check_nodes(def, seen, p, f);
        }
        for (size_t i = 0; i < MAX(def->numa.cells.n, (size_t) 1) && r >= 0; i++) {
                const HugePage *p = memory_page_of(&def->memory_backing, i);

                if (p)
                        r = check_size(p, def->numa.cells.n > 0 ? numa_cell_size((const NumaCell *) def->numa.cells.items[i]) : domain_boot_memory(def), f);
        }
        return r;
}

int memory_check(const DomainDef *def, Fault *f) {
        const MemoryBacking *m = &def->memory_backing;

        if (m->hugepages && m->source == MEMORY_ANONYMOUS)
                return domain_fault(def, f, FAULT_INVALID_DEFINITION, "memoryBacking/source", "huge pages come from memfd, not from 'anonymous'");
        return check_pages(def, f);
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

                r = r < 0 ? r : want_file(requests, def, &(MemoryPiece) { .id = id, .cell = c->id });
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
