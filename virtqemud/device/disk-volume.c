/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-lib.h"
#include "xml-read.h"

/* A disk of type 'volume' becomes what virtstoraged says of it: a file, a device, or what the volume is in the network. */

#define AT(member) offsetof(DiskServed, member)
static const Field served_fields[] = {
        NETWORK_FIELDS(AT(network)),
};
#undef AT

const RecordType disk_served_record = { "virtbus:served", sizeof(DiskServed), RECORD_FIELDS(served_fields) };

/* The document goes, so the record is one without. */
static int parse_served(const char *source, DiskServed **ret, Fault *f) {
        _cleanup_free_ char *text = strf("<served>%s</served>", source);
        _cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
        void *read = NULL, *copy = NULL;
        int r;

        if (!text)
                return fault_oom(f);
        r = xml_parse(text, strlen(text), "served", &doc, f);
        if (r >= 0)
                r = xml_read_record(sym_xmlDocGetRootElement(doc), &disk_served_record, &read, f);
        if (r < 0)
                return r;
        r = record_copy(read, &copy);
        record_free(read);
        if (r < 0)
                return fault_oom(f);
        *ret = copy;
        return 0;
}

static int set_served(Disk *d, const VolumePlace *place, Fault *f) {
        const Record *head = &d->device.head;
        DiskServed *served = NULL;
        int r;

        if (d->what == DISK_LUN)
                return xml_fault(head, f, FAULT_NOT_SUPPORTED, "the volume %s is in the network, and device='lun' is a device of the host", d->volume);
        if (d->transient)
                return xml_fault_below(head, "transient", f, FAULT_NOT_SUPPORTED, "the volume %s is in the network, and has no place beside it", d->volume);
        if (d->io != 0)
                return xml_fault_below(head, "driver/@io", f, FAULT_INVALID_DEFINITION, "it is for files and devices of the host, and the volume %s is none",
                                       d->volume);
        r = parse_served(place->source, &served, f);
        if (r < 0) {
                fault_prefix(f, "what virtstoraged says of the volume %s", d->volume);
                return r;
        }
        record_free(d->served ? &d->served->head : NULL);
        d->served = served;
        r = disk_network_check(&served->network, head, !d->readonly, f);
        return r < 0 ? r : disk_check_layers(d, f);
}

static int set_format(Disk *d, const char *format, Fault *f) {
        bool luks = streq(format, "luks");
        DiskFormat named = disk_format_from_string(format), known = luks || streq(format, "iso") ? DISK_RAW : named == DISK_FAT ? DISK_FORMAT_NONE : named;

        if (luks && !disk_encryption(d)) {
                xml_fault(&d->device.head, f, FAULT_INVALID_DEFINITION, "the volume %s is encrypted, but the disk has no <encryption>", d->volume);
                fault_hint(f, "add <encryption format='luks'><secret type='passphrase' uuid='…'/></encryption>");
                return -EINVAL;
        }
        if (d->format == DISK_FORMAT_NONE && known <= DISK_FORMAT_NONE)
                return xml_fault(&d->device.head, f, FAULT_NOT_SUPPORTED, "the volume %s is of the format %.16s, which can't be used by VMs", d->volume,
                                 format);
        if (d->format == DISK_FORMAT_NONE)
                d->format = known;
        return 0;
}

int disk_set_volume(Disk *d, const VolumePlace *place, Fault *f) {
        bool block = streq(place->kind, "block"), direct = d->mode == DISK_MODE_DIRECT, network = streq(place->kind, "network") || direct;
        int r;

        assert(d && place);

        if (direct && is_empty(place->source))
                return xml_fault_below(&d->device.head, "source/@mode", f, FAULT_INVALID_DEFINITION,
                                       "'direct' is for units of iSCSI, and the volume %s is none", d->volume);
        if (network ? is_empty(place->source) : !block && !streq(place->kind, "file"))
                return xml_fault(&d->device.head, f, FAULT_NOT_SUPPORTED, "the volume %s is neither a file nor a device, but of kind '%.16s'", d->volume,
                                 place->kind);
        if (d->transient && block && !network)
                return xml_fault_below(&d->device.head, "transient", f, FAULT_NOT_SUPPORTED, "the volume %s is a block device, which has no place beside it",
                                       d->volume);
        r = set_format(d, place->format, f);
        if (r >= 0 && network)
                r = set_served(d, place, f);
        if (r < 0)
                return r;
        d->found_block = block && !network ? YES : NO;
        return free_and_strdup(&d->found, place->path);
}
