/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

typedef struct Input {
        Device device;
        int type, bus;
} Input;

typedef enum InputType { INPUT_NONE, INPUT_TABLET, INPUT_MOUSE, INPUT_KEYBOARD } InputType;
static const char *const type_words[] = { NULL, "tablet", "mouse", "keyboard" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };

typedef enum InputBus { INPUT_BUS_NONE, INPUT_PS2, INPUT_USB, INPUT_VIRTIO } InputBus;
static const char *const bus_words[] = { NULL, "ps2", "usb", "virtio" };
static const EnumTable bus_table = { bus_words, ARRAY_SIZE(bus_words) };

#define AT(member) offsetof(Input, member)
static const Field input_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &type_table },
        { "@bus", &field_enum, AT(bus), .words = &bus_table },
        DEVICE_FIELDS(Input),
};
#undef AT

static const RecordType input_record = {
        "input", sizeof(Input), RECORD_FIELDS(input_fields), .clear = device_clear, .copied = device_copied,
};

/* What QEMU calls it; a PS/2 keyboard and mouse are part of every PC. */
static const char *input_driver(const Input *i) {
        static const char *const usb[] = { NULL, "usb-tablet", "usb-mouse", "usb-kbd" };
        static const char *const virtio[] = { NULL, "virtio-tablet-pci", "virtio-mouse-pci", "virtio-keyboard-pci" };

        return i->bus == INPUT_USB ? usb[i->type] : i->bus == INPUT_VIRTIO ? virtio[i->type] : NULL;
}

static int input_fill(Device *d, DomainDef *def, Fault *f) {
        Input *i = (Input *) d;

        if (i->bus == INPUT_BUS_NONE)
                i->bus = i->type == INPUT_TABLET ? INPUT_USB : INPUT_PS2;
        return 0;
}

static SlotKind input_slot(const Device *d, const DomainDef *def) {
        const Input *i = (const Input *) d;

        return i->bus == INPUT_USB ? SLOT_USB : i->bus == INPUT_VIRTIO ? SLOT_PCIE : SLOT_NONE;
}

static int input_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Input *i = (const Input *) d;

        if (i->type == INPUT_TABLET && i->bus == INPUT_PS2)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there are no ps2 tablets, use bus 'usb' or 'virtio'");
        if (caps && input_driver(i) && !caps_has_device(caps, input_driver(i)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", input_driver(i));
        return 0;
}

static int input_args(const Device *d, Args *a, Fault *f) {
        const char *driver = input_driver((const Input *) d);
        json_auto_t *json = NULL;
        int r;

        if (!driver)
                return 0;
        json = json_pack("{s:s, s:s}", "driver", driver, "id", d->id);
        if (!json)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static const char *input_fixed(const Device *d, const DomainDef *def) {
        return device_slot(d, def) == SLOT_NONE ? "only the buses usb and virtio take input devices then" : NULL;
}

const DeviceOps device_input = {
        .kind = DEVICE_INPUT, .element = "input", .type = &input_record,
        .fill = input_fill, .slot = input_slot, .check = input_check, .fixed = input_fixed, .args = input_args,
};
