/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"

#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-build.h"

#define SPARE_PORTS 4u   /* for devices that are plugged in while the guest runs */

typedef struct Building {
        XmlBuild b;
        const NewMachine *m;
        xmlNode *devices;
        unsigned order;          /* of booting */
        unsigned n_ports;        /* PCI Express ports that its own devices take */
} Building;

/* --- the list --- */

static void disk_clear(NewDisk *d) {
        char *const texts[] = { d->pool, d->volume, d->path, d->format, d->bus, d->cache, d->serial };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                free(texts[i]);
}

void machine_clear(NewMachine *m) {
        for (size_t i = 0; i < m->n_disks; i++)
                disk_clear(&m->disks[i]);
        for (size_t i = 0; i < m->n_nics; i++) {
                free(m->nics[i].source);
                free(m->nics[i].mac);
                free(m->nics[i].model);
        }
        free(m->disks);
        free(m->nics);
        free(m->kernel);
        free(m->initrd);
}

NewDisk *machine_add_disk(NewMachine *m) {
        return GROW(m->disks, m->disks_allocated, m->n_disks + 1) ? &m->disks[m->n_disks++] : NULL;
}

NewNic *machine_add_nic(NewMachine *m) {
        return GROW(m->nics, m->nics_allocated, m->n_nics + 1) ? &m->nics[m->n_nics++] : NULL;
}

/* --- the hardware --- */

static void build_head(Building *x, xmlNode *root) {
        const NewMachine *m = x->m;
        xmlNode *memory, *os, *node;

        (void) xml_build_text(&x->b, root, "name", "%s", m->name);
        memory = xml_build_text(&x->b, root, "memory", "%llu", (unsigned long long) (m->memory >> 20));
        xml_build_set(&x->b, memory, "unit", "MiB");
        (void) xml_build_text(&x->b, root, "vcpu", "%u", m->cpus);
        os = xml_build_add(&x->b, root, "os");
        if (m->uefi)
                xml_build_set(&x->b, os, "firmware", "efi");
        node = xml_build_text(&x->b, os, "type", "hvm");
        xml_build_set(&x->b, node, "arch", "x86_64");
        xml_build_set(&x->b, node, "machine", "q35");
        if (m->kernel)
                (void) xml_build_text(&x->b, os, "kernel", "%s", m->kernel);
        if (m->initrd)
                (void) xml_build_text(&x->b, os, "initrd", "%s", m->initrd);
        if (m->cmdline)
                (void) xml_build_text(&x->b, os, "cmdline", "%s", m->cmdline);
        node = xml_build_add(&x->b, root, "features");
        (void) xml_build_add(&x->b, node, "acpi");
        (void) xml_build_add(&x->b, node, "apic");
        if (m->kvm)
                xml_build_set(&x->b, xml_build_add(&x->b, root, "cpu"), "mode", "host-passthrough");
}

static xmlNode *add_device(Building *x, const char *element, const char *attribute, const char *value) {
        xmlNode *node = xml_build_add(&x->b, x->devices, element);

        if (attribute)
                xml_build_set(&x->b, node, attribute, "%s", value);
        return node;
}

static xmlNode *add_below(Building *x, xmlNode *parent, const char *element, const char *attribute, const char *value) {
        xmlNode *node = xml_build_add(&x->b, parent, element);

        xml_build_set(&x->b, node, attribute, "%s", value);
        return node;
}

static const char *disk_bus(const NewDisk *d) {
        return d->bus ?: d->cdrom ? "sata" : "virtio";
}

/* virtio disks are vda, vdb, …; all others share sda, sdb, … */
static unsigned count_before(const NewMachine *m, size_t index) {
        bool is_virtio = streq(disk_bus(&m->disks[index]), "virtio");
        unsigned n = 0;

        for (size_t i = 0; i < index; i++)
                n += streq(disk_bus(&m->disks[i]), "virtio") == is_virtio;
        return n;
}

static void build_source(Building *x, xmlNode *disk, const NewDisk *d) {
        bool block = d->path && str_after(d->path, "/dev/");
        xmlNode *source;

        xml_build_set(&x->b, disk, "type", "%s", d->volume ? "volume" : block ? "block" : "file");
        xml_build_set(&x->b, disk, "device", "%s", d->cdrom ? "cdrom" : "disk");
        source = xml_build_add(&x->b, disk, "driver");
        xml_build_set(&x->b, source, "name", "qemu");
        if (!d->volume)
                xml_build_set(&x->b, source, "type", "%s", d->format ?: "raw");
        if (d->cache)
                xml_build_set(&x->b, source, "cache", "%s", d->cache);
        if (!d->cdrom && !d->read_only)
                xml_build_set(&x->b, source, "discard", "unmap");
        source = xml_build_add(&x->b, disk, "source");
        if (d->volume) {
                xml_build_set(&x->b, source, "pool", "%s", d->pool);
                xml_build_set(&x->b, source, "volume", "%s", d->volume);
        } else
                xml_build_set(&x->b, source, block ? "dev" : "file", "%s", d->path);
}

static void build_disk(Building *x, size_t index, bool bootable) {
        const NewDisk *d = &x->m->disks[index];
        const char *bus = disk_bus(d);
        bool is_virtio = streq(bus, "virtio");
        xmlNode *disk = xml_build_add(&x->b, x->devices, "disk"), *target;

        build_source(x, disk, d);
        target = xml_build_add(&x->b, disk, "target");
        xml_build_set(&x->b, target, "dev", "%cd%c", is_virtio ? 'v' : 's', 'a' + count_before(x->m, index));
        xml_build_set(&x->b, target, "bus", "%s", bus);
        if (d->read_only || d->cdrom)
                (void) xml_build_add(&x->b, disk, "readonly");
        if (d->serial)
                (void) xml_build_text(&x->b, disk, "serial", "%s", d->serial);
        if (bootable)
                xml_build_set(&x->b, xml_build_add(&x->b, disk, "boot"), "order", "%u", ++x->order);
        x->n_ports += is_virtio;
}

/* An empty disk can't be booted from: the firmware goes on to the medium that a system is installed from, and no more when there is one. */
static void build_disks(Building *x) {
        const NewMachine *m = x->m;
        bool cdroms[] = { false, true };

        for (size_t c = 0; c < ARRAY_SIZE(cdroms); c++)
                for (size_t i = 0; i < m->n_disks; i++)
                        if (m->disks[i].cdrom == cdroms[c])
                                build_disk(x, i, !m->kernel);
}

static void build_nics(Building *x) {
        static const char *const types[] = { [NIC_NETWORK] = "network", [NIC_BRIDGE] = "bridge", [NIC_USER] = "user" };

        for (size_t i = 0; i < x->m->n_nics; i++) {
                const NewNic *n = &x->m->nics[i];
                xmlNode *node;

                if (n->kind == NIC_NONE)
                        continue;
                node = add_device(x, "interface", "type", types[n->kind]);
                if (n->mac)
                        (void) add_below(x, node, "mac", "address", n->mac);
                if (n->kind == NIC_USER)
                        (void) add_below(x, node, "backend", "type", "passt");
                else
                        (void) add_below(x, node, "source", types[n->kind], n->source);
                (void) add_below(x, node, "model", "type", n->model ?: "virtio");
                x->n_ports++;
        }
}

static void build_channel(Building *x, const char *type, const char *name) {
        xmlNode *channel = add_device(x, "channel", "type", type), *target = add_below(x, channel, "target", "type", "virtio");

        xml_build_set(&x->b, target, "name", "%s", name);
}

static void build_graphics(Building *x) {
        const char *type = x->m->graphics;
        xmlNode *node;

        if (streq(type, "none"))
                return;
        if (streq(type, "spice"))
                build_channel(x, "spicevmc", "com.redhat.spice.0");
        node = add_device(x, "input", "type", "tablet");
        xml_build_set(&x->b, node, "bus", "usb");
        node = add_device(x, "graphics", "type", type);
        (void) add_below(x, node, "listen", "type", "none");
        (void) add_below(x, xml_build_add(&x->b, x->devices, "video"), "model", "type", "virtio");
}

static void build_rest(Building *x) {
        xmlNode *node;

        (void) add_device(x, "serial", "type", "pty");
        build_channel(x, "unix", "org.qemu.guest_agent.0");
        build_graphics(x);
        node = add_device(x, "memballoon", "model", "virtio");
        xml_build_set(&x->b, node, "freePageReporting", "on");
        node = add_device(x, "rng", "model", "virtio");
        node = xml_build_text(&x->b, node, "backend", "/dev/urandom");
        xml_build_set(&x->b, node, "model", "random");
        x->n_ports += 3;         /* channels, balloon, random numbers */
}

static bool has_bus(const NewMachine *m, const char *bus) {
        for (size_t i = 0; i < m->n_disks; i++)
                if (streq(disk_bus(&m->disks[i]), bus))
                        return true;
        return false;
}

static void build_controllers(Building *x) {
        const struct { const char *type, *model; bool wanted; } rows[] = {
                { "usb", "qemu-xhci", true }, { "scsi", "virtio-scsi", has_bus(x->m, "scsi") },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].wanted) {
                        xmlNode *node = add_device(x, "controller", "type", rows[i].type);

                        xml_build_set(&x->b, node, "model", "%s", rows[i].model);
                        x->n_ports++;
                }
        for (unsigned i = 0; i < x->n_ports + SPARE_PORTS; i++)
                xml_build_set(&x->b, add_device(x, "controller", "type", "pci"), "model", "pcie-root-port");
}

int machine_to_xml(const NewMachine *m, char **ret) {
        Building x = { .m = m };
        xmlNode *root = xml_build_start(&x.b, "domain");

        xml_build_set(&x.b, root, "type", "%s", m->kvm ? "kvm" : "qemu");
        build_head(&x, root);
        x.devices = xml_build_add(&x.b, root, "devices");
        build_disks(&x);
        build_nics(&x);
        build_rest(&x);
        build_controllers(&x);
        return xml_build_finish(&x.b, ret);
}
