/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* <backingStore>: the layers that an image is on, those that the definition names and those that were found. One in the network has a program
 * of its own, as a disk in the network has; nobody follows what an image says of the network. */

#define AT(member) offsetof(BackingStore, member)
static const Field backing_fields[] = {
        { "@type", &field_enum, AT(type), .words = &disk_type_table },
        { "@index", &field_number, AT(index), FIELD_LIVE },
        { "source/@index", &field_number, AT(source_index), FIELD_LIVE },
        { "format/@type", &field_enum, AT(format), .words = &disk_format_table },
        { "source/@file", &field_string, AT(file) },
        { "source/@dev", &field_string, AT(dev) },
        NETWORK_FIELDS(AT(network)),
        { "backingStore", &field_record, AT(below), .record = &disk_backing_record },
};
#undef AT

static int check_type(const BackingStore *b, Fault *f) {
        const Record *r = &b->head;

        if (b->type != DISK_FILE && b->type != DISK_BLOCK && b->type != DISK_NETWORK)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "a backing store of type '%s' is not supported%s", disk_type_to_string((DiskType) b->type),
                                 b->type == DISK_VOLUME ? ": name its file" : "");
        if ((b->type == DISK_NETWORK && (b->file || b->dev)) || (b->type != DISK_NETWORK && disk_network_any(&b->network)))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "that is no source of type '%s'", disk_type_to_string((DiskType) b->type));
        if ((b->type != DISK_NETWORK && !backing_path(b)) || b->format == DISK_FORMAT_NONE || b->format == DISK_FAT)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "a backing store needs <format type='…'/> and <source …/>");
        return b->type == DISK_NETWORK ? disk_network_check(&b->network, r, false, f) : disk_check_path(r, b->type, b->file, b->dev, f);
}

static int check_backing(Record *r, Fault *f) {
        const BackingStore *b = (const BackingStore *) r;

        if (b->type != DISK_TYPE_NONE)
                return check_type(b, f);
        if (b->file || b->dev || b->format != DISK_FORMAT_NONE || b->below || disk_network_any(&b->network))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "type is missing");
        return 0;
}

const RecordType disk_backing_record = {
        "backingStore", sizeof(BackingStore), RECORD_FIELDS(backing_fields), .check = check_backing,
};

static int not_looked_up(const Record *r, const char *where, Fault *f) {
        xml_fault(r, f, FAULT_INVALID_DEFINITION, "what a qcow2 image %s is a layer on is not looked up", where);
        fault_hint(f, "add <backingStore/> if there is nothing below it");
        return -EINVAL;
}

int disk_check_layers(const Disk *d, Fault *f) {
        if (d->format == DISK_QCOW2 && !d->below && !disk_is_image(d))
                return not_looked_up(&d->device.head, disk_network(d) ? "in the network" : "on a disk of the host", f);
        for (const BackingStore *b = d->below; b && b->type != DISK_TYPE_NONE; b = b->below) {
                if (backing_network(b) && b->format == DISK_QCOW2 && !b->below)
                        return not_looked_up(&b->head, "in the network", f);
                if (b->below && b->below->type != DISK_TYPE_NONE && b->format != DISK_QCOW2)
                        return xml_fault(&b->head, f, FAULT_INVALID_DEFINITION, "a %s image has no backing store",
                                         disk_format_to_string((DiskFormat) b->format));
        }
        return 0;
}

bool disk_chain_is_open(const Disk *d) {
        const BackingStore *b = d->below;

        assert(d);

        if (d->format != DISK_QCOW2 || (!b && !disk_is_image(d)))
                return false;
        while (b && b->type != DISK_TYPE_NONE) {
                if (b->format != DISK_QCOW2)
                        return false;
                b = b->below;
        }
        return !b;
}

const DiskNetwork *disk_layer_network(const Disk *d, unsigned layer) {
        const BackingStore *b = d->below;

        assert(d);

        if (layer == 0)
                return disk_network(d);
        for (unsigned i = 1; b && i < layer; i++)
                b = b->below;
        return b ? backing_network(b) : NULL;
}

/* The end of what the definition names: where the levels that were found go. */
static BackingStore **chain_end(Disk *d, const char **ret_path) {
        BackingStore **end = &d->below;

        *ret_path = disk_path(d);
        while (*end && (*end)->type != DISK_TYPE_NONE) {
                *ret_path = backing_path(*end);
                end = &(*end)->below;
        }
        return end;
}

static BackingStore *new_backing(const ChainLevel *l) {
        BackingStore *b = record_new(&disk_backing_record);

        if (!b || !l)
                return b;
        b->type = DISK_FILE;
        b->format = disk_format_from_string(l->format);
        b->file = strdup(l->path);
        return b->file && b->format > 0 ? b : record_free(b);
}

int disk_apply_chain(Device *device, const char *image, const ChainLevel *levels, size_t n) {
        Disk *d = (Disk *) device;
        BackingStore **end;
        const char *path;

        if (disk_is_empty(d) || !disk_chain_is_open(d))
                return 0;
        end = chain_end(d, &path);
        if (!streq_null(path, image))
                return 0;
        for (size_t i = 1; i < n; i++) {
                *end = new_backing(&levels[i]);
                if (!*end)
                        return -ENOMEM;
                end = &(*end)->below;
        }
        *end = new_backing(NULL);
        return *end ? 1 : -ENOMEM;
}
