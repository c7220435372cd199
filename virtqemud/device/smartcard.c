/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <smartcard mode='passthrough'>: the viewer's card in a reader of the guest. */
typedef struct Smartcard {
        Chardev chardev;
        int mode;
} Smartcard;

typedef enum SmartcardMode { SMARTCARD_UNSET, SMARTCARD_PASSTHROUGH, SMARTCARD_HOST, SMARTCARD_HOST_CERTIFICATES } SmartcardMode;
static const char *const mode_words[] = { NULL, "passthrough", "host", "host-certificates" };
static const EnumTable mode_table = { mode_words, ARRAY_SIZE(mode_words) };

static const Field smartcard_fields[] = {
        { "@mode", &field_enum, offsetof(Smartcard, mode), FIELD_REQUIRED, .words = &mode_table },
        { "@type", &field_enum, CHARDEV_AT(type), .words = &chardev_type_table },
        CHARDEV_SOURCE_FIELDS,
};

static int check_record(Record *r, Fault *f) {
        const Smartcard *s = (const Smartcard *) r;

        if (s->mode != SMARTCARD_PASSTHROUGH) {
                xml_fault(r, f, FAULT_NOT_SUPPORTED, "mode '%s' is not supported: QEMU has no access to the host's cards",
                          enum_to_word(&mode_table, s->mode) ?: "");
                fault_hint(f, "mode='passthrough' type='spicevmc' takes the viewer's card");
                return -EOPNOTSUPP;
        }
        if (s->chardev.type == CHARDEV_NONE)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "mode 'passthrough' needs a type: 'spicevmc'");
        return chardev_check_record(r, f);
}

static const RecordType smartcard_record = {
        "smartcard", sizeof(Smartcard), RECORD_FIELDS(smartcard_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static SlotKind smartcard_slot(const Device *d, const DomainDef *def) {
        return SLOT_CCID;
}

static int smartcard_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        if (caps && !caps_has_device(caps, "ccid-card-passthru"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'ccid-card-passthru'");
        return chardev_check((const Chardev *) d, def, caps, f);
}

static int smartcard_args(const Device *d, Args *a, Fault *f) {
        _cleanup_free_ char *chardev = strf("char%s", d->id);
        json_auto_t *json = NULL;
        int r = chardev ? chardev_args((const Chardev *) d, a) : -ENOMEM;

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", "ccid-card-passthru", "id", d->id, "chardev", chardev);
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_smartcard = {
        .kind = DEVICE_SMARTCARD, .element = "smartcard", .type = &smartcard_record, .drop_live = chardev_drop_live,
        .slot = smartcard_slot, .check = smartcard_check, .files = chardev_files, .companion = chardev_companion,
        .args = smartcard_args,
};
