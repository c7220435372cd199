/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-backend.h"

#include "../def/cpu-set.h"
#include "device.h"
#include "memory.h"
#include "mem.h"
#include "virtio.h"
#include "xml-read.h"

static bool has_cell(const char *nodes, uint64_t cell) {
        _cleanup_free_ uint8_t *set = NULL;
        size_t n;

        return cpu_set_read(nodes, &set, &n) >= 0 && cell < n * 8 && (set[cell / 8] & (1u << cell % 8)) != 0;
}

const HugePage *memory_page_of(const MemoryBacking *m, uint64_t cell) {
        const HugePage *usual = NULL;

        assert(m);

        RECORD_FOREACH(HugePage, p, m->pages) {
                if (!p->nodeset)
                        usual = p;
                else if (has_cell(p->nodeset, cell))
                        return p;
        }
        return usual;
}

/* Where sizes are given, what none of them is for is of the usual pages. */
static bool wants_pages(const DomainDef *def, const MemoryPiece *piece) {
        const MemoryBacking *m = &def->memory_backing;

        return piece->page > 0 || (m->hugepages && (m->pages.n == 0 || memory_page_of(m, piece->cell)));
}

static int add_pages(const DomainDef *def, const MemoryPiece *piece, json_t *json) {
        const HugePage *p = memory_page_of(&def->memory_backing, piece->cell);
        uint64_t size = piece->page > 0 ? piece->page : p ? size_with_unit(p->size, p->unit) : 0;

        if (!wants_pages(def, piece))
                return 0;
        if (json_set_switch(json, "hugetlb", YES) < 0)
                return -ENOMEM;
        return size == 0 ? 0 : json_set_number(json, "hugetlbsize", size);
}

static json_t *numbers_of(const char *nodes) {
        _cleanup_free_ uint8_t *set = NULL;
        json_t *list = json_array();
        size_t n;

        if (!list || cpu_set_read(nodes, &set, &n) < 0) {
                json_decref(list);
                return NULL;
        }
        for (size_t i = 0; i < n * 8; i++)
                if (set[i / 8] & (1u << i % 8) && json_array_append_new(list, json_integer((json_int_t) i)) < 0) {
                        json_decref(list);
                        return NULL;
                }
        return list;
}

/* "restrictive" is what the unit keeps, by AllowedMemoryNodes=. */
static int add_nodes(const MemoryPiece *piece, json_t *json) {
        static const char *const policies[] = {
                [NUMA_MODE_NONE] = "bind", [NUMA_STRICT] = "bind", [NUMA_PREFERRED] = "preferred", [NUMA_INTERLEAVE] = "interleave",
        };

        if (!piece->nodes || piece->mode == NUMA_RESTRICTIVE)
                return 0;
        if (json_set_text(json, "policy", policies[piece->mode]) < 0)
                return -ENOMEM;
        return json_object_set_new(json, "host-nodes", numbers_of(piece->nodes)) < 0 ? -ENOMEM : 0;
}

bool memory_is_file(const DomainDef *def, const MemoryPiece *piece) {
        return def->memory_backing.source == MEMORY_FILE && !wants_pages(def, piece);
}

/* QEMU opens it once more, by the descriptor that it has got. What is in it need not reach a disk: nobody reads it afterwards. */
static int add_file(const MemoryPiece *piece, Args *a, json_t *json) {
        int fd = args_fd(a, PLAN_FD_SCRATCH, piece->id, true, false, false, NULL);
        _cleanup_free_ char *path = fd < 0 ? NULL : strf("/proc/self/fd/%d", fd);

        if (!path || json_set_text(json, "mem-path", path) < 0)
                return -ENOMEM;
        return json_set_switch(json, "discard-data", YES);
}

int memory_backend_args(Args *a, const MemoryPiece *piece) {
        const MemoryBacking *m = &a->def->memory_backing;
        bool shared = (piece->access == MEMORY_ACCESS_NONE ? m->access : piece->access) == MEMORY_SHARED, file = memory_is_file(a->def, piece);
        /* What is shared is shared by a descriptor. */
        bool memfd = wants_pages(a->def, piece) || m->source == MEMORY_MEMFD || shared;
        const char *type = file ? "memory-backend-file" : memfd ? "memory-backend-memfd" : "memory-backend-ram";
        json_auto_t *json = json_pack("{s:s, s:s, s:I, s:b}", "qom-type", type, "id", piece->id, "size", (json_int_t) piece->size, "share", (int) shared);
        int r = !json ? -ENOMEM : file ? add_file(piece, a, json) : add_pages(a->def, piece, json);

        if (r >= 0)
                r = add_nodes(piece, json);
        if (r >= 0 && m->allocation == ALLOCATION_IMMEDIATE && !piece->sparse)
                r = json_set_switch(json, "prealloc", YES);
        if (r >= 0 && m->allocation == ALLOCATION_IMMEDIATE && !piece->sparse)
                r = json_set_number(json, "prealloc-threads", m->allocation_threads);
        if (r >= 0 && piece->sparse)
                r = json_set_switch(json, "reserve", NO);
        return r < 0 ? r : args_json(a, ARG_OBJECT, TAKE_PTR(json));
}

uint64_t domain_boot_memory(const DomainDef *def) {
        uint64_t plugged = domain_plugged_memory(def);

        return def->memory > plugged ? def->memory - plugged : 0;
}

static bool is_shared(const DomainDef *def) {
        if (def->memory_backing.access == MEMORY_SHARED)
                return true;
        RECORD_FOREACH(NumaCell, c, def->numa.cells)
                if (c->access != MEMORY_SHARED)
                        return false;
        return def->numa.cells.n > 0;
}

int memory_check_shared(const DomainDef *def, const Record *device, const char *who, Fault *f) {
        if (is_shared(def))
                return 0;
        xml_fault(device, f, FAULT_INVALID_DEFINITION, "%s has to see the guest's memory, which is not shared", who);
        fault_hint(f, "add <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>");
        return -EINVAL;
}
