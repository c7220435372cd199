/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "numa.h"

#include <string.h>

#include "../def/cpu-set.h"
#include "../device/memory-backend.h"
#include "../device/memory.h"
#include "domain.h"
#include "hmat.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define CELL_FOREACH(c, def) RECORD_FOREACH(NumaCell, c, (def)->numa.cells)

static uint64_t cell_id(const DomainDef *def, size_t i) {
        return ((const NumaCell *) def->numa.cells.items[i])->id;
}

static bool is_before(const DomainDef *def, size_t a, size_t b) {
        return cell_id(def, a) != NUMBER_UNSET && cell_id(def, b) != NUMBER_UNSET && cell_id(def, a) < cell_id(def, b);
}

void numa_sort(DomainDef *def) {
        Record **items = def->numa.cells.items;

        for (size_t i = 1; i < def->numa.cells.n; i++)
                for (size_t k = i; k > 0 && is_before(def, k, k - 1); k--) {
                        Record *kept = items[k];

                        items[k] = items[k - 1];
                        items[k - 1] = kept;
                }
}

void numa_fill(DomainDef *def) {
        uint64_t sum = 0;

        for (size_t i = 0; i < def->numa.cells.n; i++) {
                NumaCell *c = (NumaCell *) def->numa.cells.items[i];
                uint64_t size = numa_cell_size(c);

                if (c->id == NUMBER_UNSET)
                        c->id = i;
                sum += size == NUMBER_UNSET ? 0 : size;
        }
        if (sum > 0)
                def->memory = sum + domain_plugged_memory(def);
}

/* --- rules --- */

static int check_set(const Record *r, const char *path, const char *text, Fault *f) {
        _cleanup_free_ uint8_t *set = NULL;
        size_t n;

        return !text || cpu_set_read(text, &set, &n) >= 0 ? 0 : xml_fault_below(r, path, f, FAULT_INVALID_DEFINITION, "'%s' is no list such as 0-3,8", text);
}

static int check_cpus(const NumaCell *c, const DomainDef *def, uint8_t *seen, Fault *f) {
        _cleanup_free_ uint8_t *set = NULL;
        size_t n = 0;

        if (!c->cpus)
                return 0;
        if (cpu_set_read(c->cpus, &set, &n) < 0)
                return xml_fault_below(&c->head, "@cpus", f, FAULT_INVALID_DEFINITION, "'%s' is no list such as 0-3,8", c->cpus);
        for (size_t i = 0; i < n * 8; i++) {
                uint8_t bit = (uint8_t) (1u << i % 8);

                if (!(set[i / 8] & bit))
                        continue;
                if (i >= def->vcpus)
                        return xml_fault_below(&c->head, "@cpus", f, FAULT_INVALID_DEFINITION, "the guest has no CPU %zu", i);
                if (seen[i / 8] & bit)
                        return xml_fault_below(&c->head, "@cpus", f, FAULT_INVALID_DEFINITION, "CPU %zu is in another cell already", i);
                seen[i / 8] |= bit;
        }
        return 0;
}

static int check_cell(const NumaCell *c, const DomainDef *def, size_t i, Fault *f) {
        uint64_t size = numa_cell_size(c);

        if (c->id != i)
                return xml_fault(&c->head, f, FAULT_NOT_SUPPORTED, "cells are numbered from 0 on, so this is %zu, not %" PRIu64, i, c->id);
        if (size == NUMBER_UNSET || size < 1 << 20)
                return xml_fault(&c->head, f, FAULT_INVALID_DEFINITION, "a cell has 1 MiB of memory at least");
        RECORD_FOREACH(NumaDistance, d, c->distances) {
                if (d->id >= def->numa.cells.n)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is no cell %" PRIu64, d->id);
                if (d->id == c->id && d->value != 10)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "the distance to itself is 10");
        }
        return 0;
}

static int check_cells(const DomainDef *def, Fault *f) {
        _cleanup_free_ uint8_t *seen = new0(uint8_t, CPU_SET_MAX / 8);
        int r = 0;

        if (!seen)
                return fault_oom(f);
        for (size_t i = 0; i < def->numa.cells.n && r >= 0; i++) {
                const NumaCell *c = (const NumaCell *) def->numa.cells.items[i];

                r = check_cell(c, def, i, f);
                if (r >= 0)
                        r = check_cpus(c, def, seen, f);
        }
        return r;
}

int numa_check(const DomainDef *def, Fault *f) {
        int r = check_cells(def, f);

        if (r >= 0)
                r = hmat_check(def, f);
        if (r >= 0 && def->numa.placement == 2 && def->numa.nodes)
                r = domain_fault(def, f, FAULT_INVALID_DEFINITION, "numatune/memory", "placement='auto' leaves it to the kernel, and a nodeset does not");
        if (r >= 0)
                r = check_set(&def->head, "numatune/memory/@nodeset", def->numa.nodes, f);
        RECORD_FOREACH(NumaPlace, p, def->numa.places) {
                if (r >= 0 && p->cell >= def->numa.cells.n)
                        r = xml_fault(&p->head, f, FAULT_INVALID_DEFINITION, "there is no cell %" PRIu64, p->cell);
                if (r >= 0)
                        r = check_set(&p->head, "@nodeset", p->nodes, f);
                if (r >= 0 && p->mode == NUMA_RESTRICTIVE) {
                        r = xml_fault(&p->head, f, FAULT_NOT_SUPPORTED, "mode='restrictive' is not supported here: a cgroup keeps a VM to nodes, not a cell");
                        fault_hint(f, "mode='strict' keeps the cell's memory to its nodes; <memory mode='restrictive'> the whole VM");
                }
        }
        if (r >= 0 && def->memory_slots == 0 && def->memory_max != NUMBER_UNSET)
                r = domain_fault(def, f, FAULT_INVALID_DEFINITION, "maxMemory/@slots", "there has to be one at least");
        if (r >= 0 && def->memory_max != NUMBER_UNSET && def->memory_slots == NUMBER_UNSET)
                r = domain_fault(def, f, FAULT_INVALID_DEFINITION, "maxMemory", "slots are missing: how many pieces can be plugged in?");
        if (r >= 0 && def->memory_max != NUMBER_UNSET && def->memory_max < def->memory)
                r = domain_fault(def, f, FAULT_INVALID_DEFINITION, "maxMemory", "it is less than the memory there is from the start");
        return r;
}

/* --- QEMU --- */

const char *numa_nodes(const DomainDef *def, int *ret_mode) {
        *ret_mode = def->numa.mode;
        return def->numa.nodes;
}

static const char *nodes_of_cell(const DomainDef *def, uint64_t cell, int *ret_mode) {
        RECORD_FOREACH(NumaPlace, p, def->numa.places)
                if (p->cell == cell) {
                        *ret_mode = p->mode;
                        return p->nodes;
                }
        return numa_nodes(def, ret_mode);
}

/* Each part of a list is a word of its own to QEMU. */
static void add_cpus(Text *t, const char *cpus) {
        while (cpus && *cpus) {
                size_t n = strcspn(cpus, ",");

                text_addf(t, ",cpus=%.*s", (int) n, cpus);
                cpus += cpus[n] ? n + 1 : n;
        }
}

char *numa_backend(const NumaCell *c) {
        return strf("ram-node%" PRIu64, c->id);
}

static int add_cell(const NumaCell *c, const DomainDef *def, Args *a) {
        _cleanup_free_ char *id = numa_backend(c), *text = NULL;
        MemoryPiece piece = { .id = id, .size = numa_cell_size(c), .access = c->access, .cell = c->id };
        _cleanup_text_ Text t = TEXT_INIT;
        int r;

        piece.nodes = nodes_of_cell(def, c->id, &piece.mode);
        r = id ? memory_backend_args(a, &piece) : -ENOMEM;
        if (r < 0)
                return r;
        text_addf(&t, "node,nodeid=%" PRIu64, c->id);
        add_cpus(&t, c->cpus);
        if (hmat_any(def) && !c->cpus)
                text_addf(&t, ",initiator=%" PRIu64, hmat_initiator(def, c));
        text_addf(&t, ",memdev=%s", id);
        text = text_finish(&t);
        return text ? args_option(a, "-numa", "%s", text) : -ENOMEM;
}

int numa_args(const DomainDef *def, Args *a) {
        int r = 0;

        CELL_FOREACH(c, def)
                r = r < 0 ? r : add_cell(c, def, a);
        CELL_FOREACH(c, def)
                RECORD_FOREACH(NumaDistance, d, c->distances)
                        r = r < 0 ? r : args_option(a, "-numa", "dist,src=%" PRIu64 ",dst=%" PRIu64 ",val=%" PRIu64, c->id, d->id, d->value);
        return r < 0 ? r : hmat_args(def, a);
}
