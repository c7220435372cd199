/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"
#include "mem.h"
#include "redirfilter.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <redirdev>: a place into which a viewer puts a USB device of its own. */
typedef struct Redirdev {
        Chardev chardev;
        int bus;
} Redirdev;

static const char *const bus_words[] = { NULL, "usb" };
static const EnumTable bus_table = { bus_words, ARRAY_SIZE(bus_words) };

static const Field redirdev_fields[] = {
        { "@bus", &field_enum, offsetof(Redirdev, bus), .words = &bus_table },
        CHARDEV_FIELDS,
};

static const RecordType redirdev_record = {
        "redirdev", sizeof(Redirdev), RECORD_FIELDS(redirdev_fields), .check = chardev_check_record, .clear = device_clear, .copied = device_copied,
};

static const char *redirdev_prefix(const Device *d) {
        return "redir";
}

static int redirdev_fill(Device *d, DomainDef *def, Fault *f) {
        ((Redirdev *) d)->bus = 1;
        return 0;
}

static SlotKind redirdev_slot(const Device *d, const DomainDef *def) {
        return SLOT_USB;
}

static int redirdev_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        if (caps && !caps_has_device(caps, "usb-redir"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'usb-redir'");
        return chardev_check((const Chardev *) d, def, caps, f);
}

static int redirdev_args(const Device *d, Args *a, Fault *f) {
        _cleanup_free_ char *chardev = strf("char%s", d->id), *filter = NULL;
        json_auto_t *json = NULL;
        int r = chardev ? chardev_args((const Chardev *) d, a) : -ENOMEM;

        if (r >= 0)
                r = redirfilter_text(a->def, &filter);
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", "usb-redir", "id", d->id, "chardev", chardev);
        if (!json)
                return -ENOMEM;
        r = json_set_text(json, "filter", filter);
        if (r >= 0)
                r = args_bootindex(a, d, json);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_redirdev = {
        .kind = DEVICE_REDIRDEV, .element = "redirdev", .type = &redirdev_record, .id_prefix = redirdev_prefix, .drop_live = chardev_drop_live,
        .fill = redirdev_fill, .slot = redirdev_slot, .check = redirdev_check, .files = chardev_files, .companion = chardev_companion,
        .fixed = device_never_fixed, .args = redirdev_args,
};
