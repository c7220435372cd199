/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

typedef struct Input {
        Device device;
        int type, bus;
        char *evdev, *dev;           /* passthrough, evdev: the host's device */
        int grab, toggle;
        Tristate repeat;
        VirtioOptions virtio;
} Input;

typedef enum InputType { INPUT_NONE, INPUT_TABLET, INPUT_MOUSE, INPUT_KEYBOARD, INPUT_PASSTHROUGH, INPUT_EVDEV } InputType;
static const char *const type_words[] = { NULL, "tablet", "mouse", "keyboard", "passthrough", "evdev" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };

typedef enum InputBus { INPUT_BUS_NONE, INPUT_PS2, INPUT_USB, INPUT_VIRTIO } InputBus;
static const char *const bus_words[] = { NULL, "ps2", "usb", "virtio" };
static const EnumTable bus_table = { bus_words, ARRAY_SIZE(bus_words) };

static const char *const grab_words[] = { NULL, "all" };
static const EnumTable grab_table = { grab_words, ARRAY_SIZE(grab_words) };
static const char *const toggle_words[] = { NULL, "ctrl-ctrl", "alt-alt", "shift-shift", "meta-meta", "scrolllock", "ctrl-scrolllock" };
static const EnumTable toggle_table = { toggle_words, ARRAY_SIZE(toggle_words) };

#define AT(member) offsetof(Input, member)
static const Field input_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &type_table },
        { "@bus", &field_enum, AT(bus), .words = &bus_table },
        { "source/@evdev", &field_string, AT(evdev) },
        { "source/@dev", &field_string, AT(dev) },
        { "source/@grab", &field_enum, AT(grab), .words = &grab_table },
        { "source/@grabToggle", &field_enum, AT(toggle), .words = &toggle_table },
        { "source/@repeat", &field_on_off, AT(repeat) },
        VIRTIO_FIELDS(AT(virtio)),
        DEVICE_FIELDS(Input),
};
#undef AT

static const RecordType input_record = {
        "input", sizeof(Input), RECORD_FIELDS(input_fields), .clear = device_clear, .copied = device_copied,
};

/* What QEMU calls it; a PS/2 keyboard and mouse are part of every PC. */
static const char *input_driver(const Input *i) {
        static const char *const usb[] = { NULL, "usb-tablet", "usb-mouse", "usb-kbd", NULL, NULL };
        static const char *const virtio[] = { NULL, "virtio-tablet-pci", "virtio-mouse-pci", "virtio-keyboard-pci", "virtio-input-host-pci", NULL };

        return i->bus == INPUT_USB ? usb[i->type] : i->bus == INPUT_VIRTIO ? virtio[i->type] : NULL;
}

static int input_fill(Device *d, DomainDef *def, Fault *f) {
        Input *i = (Input *) d;

        if (i->type == INPUT_PASSTHROUGH && i->bus == INPUT_BUS_NONE)
                i->bus = INPUT_VIRTIO;
        if (i->bus == INPUT_BUS_NONE && i->type != INPUT_EVDEV)
                i->bus = i->type == INPUT_TABLET || def->ps2 == NO ? INPUT_USB : INPUT_PS2;
        return 0;
}

static SlotKind input_slot(const Device *d, const DomainDef *def) {
        const Input *i = (const Input *) d;

        return i->bus == INPUT_USB ? SLOT_USB : i->bus == INPUT_VIRTIO ? SLOT_PCIE : SLOT_NONE;
}

/* The host's device it is about; NULL: none. */
static const char *input_source(const Input *i) {
        return i->type == INPUT_PASSTHROUGH ? i->evdev : i->type == INPUT_EVDEV ? i->dev : NULL;
}

static int check_source(const Input *i, Fault *f) {
        bool takes = i->type == INPUT_PASSTHROUGH || i->type == INPUT_EVDEV;
        const Record *r = &i->device.head;

        if (!takes && (i->evdev || i->dev))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it is for the types 'passthrough' and 'evdev'");
        if (takes && (!input_source(i) || input_source(i)[0] != '/'))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "type '%s' takes the path of an input device: %s='/dev/input/…'",
                                       type_words[i->type], i->type == INPUT_EVDEV ? "dev" : "evdev");
        if (i->type != INPUT_EVDEV && (i->grab || i->toggle || i->repeat != UNSET))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "grab, grabToggle and repeat are for the type 'evdev'");
        if (i->type == INPUT_EVDEV && i->bus != INPUT_BUS_NONE)
                return xml_fault_below(r, "@bus", f, FAULT_INVALID_DEFINITION, "type 'evdev' is on none: what is typed goes to the guest's other devices");
        if (i->type == INPUT_PASSTHROUGH && i->bus != INPUT_VIRTIO)
                return xml_fault_below(r, "@bus", f, FAULT_INVALID_DEFINITION, "type 'passthrough' is on bus 'virtio'");
        return 0;
}

static int input_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Input *i = (const Input *) d;

        if (i->bus == INPUT_PS2 && def->ps2 == NO)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "<features> say ps2 state='off': use bus 'usb' or 'virtio'");
        if (i->type == INPUT_TABLET && i->bus == INPUT_PS2)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there are no ps2 tablets, use bus 'usb' or 'virtio'");
        if (check_source(i, f) < 0)
                return -EINVAL;
        if (virtio_options_any(&i->virtio) && i->bus != INPUT_VIRTIO)
                return xml_fault_below(&d->head, "driver", f, FAULT_INVALID_DEFINITION, "only bus 'virtio' has one");
        if (caps && i->type == INPUT_EVDEV && !caps_has_object(caps, "input-linux"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no objects of type 'input-linux'");
        if (caps && input_driver(i) && !caps_has_device(caps, input_driver(i)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", input_driver(i));
        return 0;
}

static int evdev_args(const Input *i, Args *a) {
        json_auto_t *json = json_pack("{s:s, s:s, s:s}", "qom-type", "input-linux", "id", i->device.id, "evdev", i->dev);

        if (!json || json_set_switch(json, "grab_all", i->grab ? YES : UNSET) < 0 || json_set_switch(json, "repeat", i->repeat) < 0 ||
            json_set_text(json, "grab-toggle", enum_to_word(&toggle_table, i->toggle)) < 0)
                return -ENOMEM;
        return args_json(a, ARG_OBJECT, TAKE_PTR(json));
}

static int input_args(const Device *d, Args *a, Fault *f) {
        const Input *i = (const Input *) d;
        const char *driver = input_driver(i);
        json_auto_t *json = NULL;
        unsigned fdset;
        int r = input_source(i) ? args_fd(a, PLAN_FD_COMPANION, d->id, true, false, true, &fdset) : 0;

        if (r < 0)
                return r;
        if (i->type == INPUT_EVDEV)
                return evdev_args(i, a);
        if (!driver)
                return 0;
        json = json_pack("{s:s, s:s}", "driver", driver, "id", d->id);
        if (!json || json_set_text(json, "evdev", i->evdev) < 0 || virtio_options_add(&i->virtio, json) < 0)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static const char *input_fixed(const Device *d, const DomainDef *def) {
        return device_slot(d, def) == SLOT_NONE && ((const Input *) d)->type != INPUT_EVDEV ? "only the buses usb and virtio take input devices then" : NULL;
}

/* The device file is opened to the VM's user. */
static int input_companion(const Device *d, const char *state, Companion *ret) {
        return companion_hostdev(ret, "file", input_source((const Input *) d), false);
}

const DeviceOps device_input = {
        .kind = DEVICE_INPUT, .element = "input", .type = &input_record,
        .fill = input_fill, .slot = input_slot, .check = input_check, .fixed = input_fixed, .args = input_args,
        .companion = input_companion,
};
