/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "xml-read.h"

/* <hub type='usb'>: eight ports more. */
typedef struct Hub {
        Device device;
        int type;
} Hub;

static const char *const type_words[] = { NULL, "usb" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };

static const Field hub_fields[] = {
        { "@type", &field_enum, offsetof(Hub, type), FIELD_REQUIRED, .words = &type_table },
        DEVICE_FIELDS(Hub),
};

static const RecordType hub_record = { "hub", sizeof(Hub), RECORD_FIELDS(hub_fields), .clear = device_clear, .copied = device_copied };

static SlotKind hub_slot(const Device *d, const DomainDef *def) {
        return SLOT_USB;
}

static int hub_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        if (caps && !caps_has_device(caps, "usb-hub"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'usb-hub'");
        return 0;
}

static int hub_args(const Device *d, Args *a, Fault *f) {
        json_auto_t *json = json_pack("{s:s, s:s}", "driver", "usb-hub", "id", d->id);
        int r = args_address(a, d, json, f);

        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_hub = {
        .kind = DEVICE_HUB, .element = "hub", .type = &hub_record, .slot = hub_slot, .check = hub_check, .fixed = device_never_fixed, .args = hub_args,
};
