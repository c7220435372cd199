/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <encryption>, of a disk or its <source>. QEMU reads the passphrase from a descriptor, so that it is in no argument and no message. */

typedef enum EncryptionFormat {
        ENCRYPTION_UNSET,
        ENCRYPTION_DEFAULT,
        ENCRYPTION_QCOW,
        ENCRYPTION_LUKS,
        ENCRYPTION_LUKS2,
        ENCRYPTION_LUKS_ANY
} EncryptionFormat;
static const char *const format_words[] = { NULL, "default", "qcow", "luks", "luks2", "luks-any" };
static const EnumTable format_table = { format_words, ARRAY_SIZE(format_words) };

typedef enum EncryptionEngine { ENGINE_UNSET, ENGINE_QEMU, ENGINE_LIBRBD } EncryptionEngine;
static const char *const engine_words[] = { NULL, "qemu", "librbd" };
static const EnumTable engine_table = { engine_words, ARRAY_SIZE(engine_words) };

#define AT(member) offsetof(DiskEncryption, member)
static const Field fields[] = {
        { "@format", &field_enum, AT(format), FIELD_REQUIRED, .words = &format_table },
        { "@engine", &field_enum, AT(engine), .words = &engine_table },
        { "secret", &field_record, AT(secret), .record = &secret_ref_record },
};
#undef AT

static int check_record(Record *r, Fault *f) {
        const DiskEncryption *e = (const DiskEncryption *) r;

        if (e->engine == ENGINE_LIBRBD || e->format == ENCRYPTION_LUKS2 || e->format == ENCRYPTION_LUKS_ANY)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "only format 'luks', which QEMU reads itself, is supported");
        if (e->format != ENCRYPTION_LUKS)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "QEMU no longer runs VMs from images with qcow's old encryption: format 'luks' is supported");
        if (!e->secret)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "it needs a <secret type='passphrase' …/>");
        return secret_ref_check(e->secret, f);
}

const RecordType disk_encryption_record = { "encryption", sizeof(DiskEncryption), RECORD_FIELDS(fields), .check = check_record };

/* The object's id, which what is encrypted names. */
static char *secret_id(const Disk *d) {
        return blockdev_name(d, 0, "secret");
}

int disk_encryption_args(const Disk *d, Args *a) {
        _cleanup_free_ char *id = secret_id(d), *file = NULL;
        int fd;

        if (!disk_encryption(d))
                return 0;
        fd = args_fd(a, PLAN_FD_SECRET, d->device.id, false, false, false, NULL);
        if (fd < 0)
                return fd;
        /* Not an fdset: secrets are read past what QEMU opens files with. */
        file = strf("/proc/self/fd/%d", fd);
        return args_json(a, ARG_OBJECT, id && file ? json_pack("{s:s, s:s, s:s}", "qom-type", "secret", "id", id, "file", file) : NULL);
}

int disk_encryption_format(const Disk *d, json_t *json) {
        _cleanup_free_ char *id = secret_id(d);

        if (!disk_encryption(d))
                return 0;
        if (!id)
                return -ENOMEM;
        if (d->format == DISK_QCOW2)
                return json_object_set_new(json, "encrypt", json_pack("{s:s, s:s}", "format", "luks", "key-secret", id)) < 0 ? -ENOMEM : 0;
        /* What libvirt calls an encrypted raw image is one in LUKS format to QEMU. */
        if (json_object_set_new(json, "driver", json_string("luks")) < 0)
                return -ENOMEM;
        return json_set_text(json, "key-secret", id);
}
