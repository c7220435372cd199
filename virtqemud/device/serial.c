/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

static const Field serial_fields[] = { CHARDEV_FIELDS };

static const RecordType serial_record = {
        "serial", sizeof(Chardev), RECORD_FIELDS(serial_fields), .check = chardev_check_record, .clear = device_clear,
        .copied = device_copied,
};

static int serial_fill(Device *d, DomainDef *def, Fault *f) {
        Chardev *c = (Chardev *) d;

        if (c->target == TARGET_NONE)
                c->target = TARGET_ISA_SERIAL;
        if (c->port != NUMBER_UNSET)
                return 0;
        c->port = 0;
        DEVICE_FOREACH(Chardev, other, def, DEVICE_SERIAL)
                if (other != c && other->port != NUMBER_UNSET && other->port >= c->port)
                        c->port = other->port + 1;
        return 0;
}

static SlotKind serial_slot(const Device *d, const DomainDef *def) {
        const Chardev *c = (const Chardev *) d;

        return c->target == TARGET_PCI_SERIAL ? SLOT_PCI : c->target == TARGET_USB_SERIAL ? SLOT_USB : SLOT_NONE;
}

static const char *serial_driver(const Chardev *c) {
        return c->target == TARGET_ISA_DEBUG ? "isa-debugcon" : serial_target_to_string((SerialTarget) c->target);
}

static int serial_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Chardev *c = (const Chardev *) d;
        const char *driver = serial_driver(c);

        if (c->target == TARGET_SERIAL || c->target == TARGET_VIRTIO)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION,
                                 "'%s' is a target of <console>; a <serial> is isa-serial, pci-serial, usb-serial or isa-debug", driver);
        if (c->target_model && !streq(c->target_model, driver))
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "model '%.32s' does not fit target type '%s'", c->target_model, driver);
        DEVICE_FOREACH(Chardev, other, def, DEVICE_SERIAL) {
                if (other == c)
                        break;
                if (other->port == c->port)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "port %" PRIu64 " is already that of the serial in line %u",
                                         c->port, other->device.head.line);
        }
        if (c->target == TARGET_ISA_SERIAL && c->port > 3)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "a board has four ISA serial ports, 0 to 3");
        if (caps && !caps_has_device(caps, driver))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", driver);
        return 0;
}

static int serial_args(const Device *d, Args *a, Fault *f) {
        const Chardev *c = (const Chardev *) d;
        _cleanup_free_ char *chardev = strf("char%s", d->id);
        json_auto_t *json = NULL;
        int r;

        r = chardev ? chardev_args(c, a) : -ENOMEM;
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", serial_driver(c), "id", d->id, "chardev", chardev);
        if (!json || (c->target == TARGET_ISA_SERIAL && json_object_set_new(json, "index", json_integer((json_int_t) c->port)) < 0))
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static const char *serial_fixed(const Device *d, const DomainDef *def) {
        return device_slot(d, def) == SLOT_NONE ? "only the targets pci-serial and usb-serial can be" : NULL;
}

const DeviceOps device_serial = {
        .kind = DEVICE_SERIAL, .element = "serial", .type = &serial_record, .drop_live = chardev_drop_live, .fill = serial_fill,
        .slot = serial_slot, .check = serial_check, .files = chardev_files, .companion = chardev_companion, .fixed = serial_fixed,
        .args = serial_args,
};
