/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-caps.h"

#include <inttypes.h>

#include "../def/domain-def.h"
#include "str.h"
#include "xml-build.h"

#define KIB UINT64_C(1024)

/* libvirt has short names for the two that everybody has. */
static const char *vendor_word(const char *vendor) {
        return streq(vendor, "GenuineIntel") ? "Intel" : streq(vendor, "AuthenticAMD") ? "AMD" : vendor;
}

static void add_page_sizes(XmlBuild *b, xmlNode *cpu, const HostInfo *h) {
        const HostPagesList *pages = &h->nodes[0].pages;

        for (size_t i = 0; i < pages->n; i++) {
                xmlNode *node = xml_build_add(b, cpu, "pages");

                xml_build_set(b, node, "unit", "KiB");
                xml_build_set(b, node, "size", "%" PRIu64, pages->items[i].size / KIB);
        }
}

static void add_cpu(XmlBuild *b, xmlNode *host, const HostInfo *h) {
        const HostShape shape = host_info_shape(h);
        xmlNode *cpu = xml_build_add(b, host, "cpu"), *node;

        xml_build_text(b, cpu, "arch", "%s", h->arch);
        if (h->vendor)
                xml_build_text(b, cpu, "vendor", "%s", vendor_word(h->vendor));
        if (h->microcode > 0) {
                node = xml_build_add(b, cpu, "microcode");
                xml_build_set(b, node, "version", "%u", h->microcode);
        }
        if (h->family > 0) {
                node = xml_build_add(b, cpu, "signature");
                xml_build_set(b, node, "family", "%u", h->family);
                xml_build_set(b, node, "model", "%u", h->model_number);
                xml_build_set(b, node, "stepping", "%u", h->stepping);
        }
        node = xml_build_add(b, cpu, "topology");
        xml_build_set(b, node, "sockets", "%u", shape.sockets);
        xml_build_set(b, node, "dies", "%u", shape.dies);
        xml_build_set(b, node, "cores", "%u", shape.cores);
        xml_build_set(b, node, "threads", "%u", shape.threads);
        if (h->address_bits > 0) {
                node = xml_build_add(b, cpu, "maxphysaddr");
                xml_build_set(b, node, "mode", "emulate");
                xml_build_set(b, node, "bits", "%u", h->address_bits);
        }
        add_page_sizes(b, cpu, h);
}

static void add_processors(XmlBuild *b, xmlNode *cell, const HostInfo *h, const HostNode *node) {
        xmlNode *cpus = xml_build_add(b, cell, "cpus");
        size_t n = 0;

        for (size_t i = 0; i < h->n_processors; i++) {
                const HostProcessor *p = &h->processors[i];
                xmlNode *cpu = p->node == node->id ? xml_build_add(b, cpus, "cpu") : NULL;

                if (p->node != node->id)
                        continue;
                n++;
                xml_build_set(b, cpu, "id", "%u", p->id);
                xml_build_set(b, cpu, "socket_id", "%u", p->socket);
                xml_build_set(b, cpu, "die_id", "%u", p->die);
                xml_build_set(b, cpu, "core_id", "%u", p->core);
                xml_build_set(b, cpu, "siblings", "%s", p->siblings);
        }
        xml_build_set(b, cpus, "num", "%zu", n);
}

static void add_distances(XmlBuild *b, xmlNode *cell, const HostInfo *h, const HostNode *node) {
        xmlNode *distances = node->n_distances > 0 ? xml_build_add(b, cell, "distances") : NULL;

        for (size_t i = 0; i < node->n_distances && i < h->n_nodes; i++) {
                xmlNode *sibling = xml_build_add(b, distances, "sibling");

                xml_build_set(b, sibling, "id", "%u", h->nodes[i].id);
                xml_build_set(b, sibling, "value", "%u", node->distances[i]);
        }
}

static void add_cell(XmlBuild *b, xmlNode *cells, const HostInfo *h, const HostNode *node) {
        xmlNode *cell = xml_build_add(b, cells, "cell"), *memory;

        xml_build_set(b, cell, "id", "%u", node->id);
        memory = xml_build_text(b, cell, "memory", "%" PRIu64, node->memory / KIB);
        xml_build_set(b, memory, "unit", "KiB");
        for (size_t i = 0; i < node->pages.n; i++) {
                xmlNode *pages = xml_build_text(b, cell, "pages", "%" PRIu64, node->pages.items[i].total);

                xml_build_set(b, pages, "unit", "KiB");
                xml_build_set(b, pages, "size", "%" PRIu64, node->pages.items[i].size / KIB);
        }
        add_distances(b, cell, h, node);
        add_processors(b, cell, h, node);
}

static void add_host(XmlBuild *b, xmlNode *root, const HostInfo *h) {
        xmlNode *host = xml_build_add(b, root, "host"), *node, *cells;

        xml_build_text(b, host, "uuid", SD_ID128_UUID_FORMAT_STR, SD_ID128_FORMAT_VAL(h->uuid));
        add_cpu(b, host, h);
        node = xml_build_add(b, host, "iommu");
        xml_build_set(b, node, "support", "%s", yes_no(h->iommu_groups > 0));
        cells = xml_build_add(b, xml_build_add(b, host, "topology"), "cells");
        xml_build_set(b, cells, "num", "%zu", h->n_nodes);
        for (size_t i = 0; i < h->n_nodes; i++)
                add_cell(b, cells, h, &h->nodes[i]);
        node = xml_build_add(b, host, "secmodel");
        xml_build_text(b, node, "model", "none");
        xml_build_text(b, node, "doi", "0");
}

/* --- guests --- */

static void add_machine(XmlBuild *b, xmlNode *arch, const CapsMachine *m, bool alias) {
        xmlNode *node = xml_build_text(b, arch, "machine", "%s", alias ? m->alias : m->name);

        if (alias)
                xml_build_set(b, node, "canonical", "%s", m->name);
        if (m->cpu_max > 0)
                xml_build_set(b, node, "maxCpus", "%u", m->cpu_max);
        if (m->deprecated)
                xml_build_set(b, node, "deprecated", "yes");
}

/* The default one first: that is what clients take. */
static void add_machines(XmlBuild *b, xmlNode *arch, const QemuCaps *caps) {
        for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < caps->n_machines; i++) {
                        const CapsMachine *m = &caps->machines[i];

                        if (m->is_default != (pass == 0) || streq(m->name, "none"))
                                continue;
                        add_machine(b, arch, m, false);
                        if (m->alias)
                                add_machine(b, arch, m, true);
                }
}

static unsigned word_size(const char *target) {
        static const char *const small[] = {
                "i386", "arm", "mips", "mipsel", "ppc", "riscv32", "sparc", "m68k", "hppa", "sh4", "sh4eb", "microblaze", "microblazeel",
                "or1k", "xtensa", "xtensaeb", "avr", "cris", "nios2", "rx", "tricore",
        };

        for (size_t i = 0; i < ARRAY_SIZE(small); i++)
                if (streq(small[i], target))
                        return 32;
        return 64;
}

static void add_guest_features(XmlBuild *b, xmlNode *guest, const char *target) {
        xmlNode *features = xml_build_add(b, guest, "features"), *node;

        if (streq(target, "x86_64") || streq(target, "i386")) {
                node = xml_build_add(b, features, "acpi");
                xml_build_set(b, node, "default", "on");
                xml_build_set(b, node, "toggle", "yes");
                node = xml_build_add(b, features, "apic");
                xml_build_set(b, node, "default", "on");
                xml_build_set(b, node, "toggle", "no");
        }
        (void) xml_build_add(b, features, "cpuselection");
        (void) xml_build_add(b, features, "deviceboot");
}

static void add_guest(XmlBuild *b, xmlNode *root, const HostEmulator *e) {
        xmlNode *guest = xml_build_add(b, root, "guest"), *arch, *domain;

        xml_build_text(b, guest, "os_type", "hvm");
        arch = xml_build_add(b, guest, "arch");
        xml_build_set(b, arch, "name", "%s", e->caps->target);
        xml_build_text(b, arch, "wordsize", "%u", word_size(e->caps->target));
        xml_build_text(b, arch, "emulator", "%s", e->path);
        add_machines(b, arch, e->caps);
        domain = xml_build_add(b, arch, "domain");
        xml_build_set(b, domain, "type", "%s", domain_type_to_string(DOMAIN_TYPE_QEMU));
        if (e->caps->kvm) {
                domain = xml_build_add(b, arch, "domain");
                xml_build_set(b, domain, "type", "%s", domain_type_to_string(DOMAIN_TYPE_KVM));
        }
        add_guest_features(b, guest, e->caps->target);
}

int host_caps_to_xml(const HostInfo *host, const HostEmulator *emulators, size_t n, char **ret) {
        xmlNode *root;
        XmlBuild b;

        assert(host && host->n_nodes > 0 && ret);
        assert(emulators || n == 0);

        root = xml_build_start(&b, "capabilities");
        add_host(&b, root, host);
        for (size_t i = 0; i < n; i++)
                add_guest(&b, root, &emulators[i]);
        return xml_build_finish(&b, ret);
}
