/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

static const Field console_fields[] = { CHARDEV_FIELDS };

static const RecordType console_record = {
        "console", sizeof(Chardev), RECORD_FIELDS(console_fields), .check = chardev_check_record, .clear = device_clear,
        .copied = device_copied,
};

static const Chardev *find_serial(const DomainDef *def, uint64_t port) {
        DEVICE_FOREACH(Chardev, c, def, DEVICE_SERIAL)
                if ((c->port == NUMBER_UNSET ? 0 : c->port) == port)
                        return c;
        return NULL;
}

/* A lone console of type 'serial' is how many tools ask for a serial port. */
static int add_serial(Chardev *console, DomainDef *def, Fault *f) {
        Chardev *serial = device_new(DEVICE_SERIAL);

        if (!serial)
                return fault_oom(f);
        serial->port = console->port;
        if (chardev_copy_source(serial, console) < 0) {
                record_free(serial);
                return fault_oom(f);
        }
        return record_list_add(&def->devices, serial) < 0 ? fault_oom(f) : 0;
}

/* The number of a serial console is that of the serial port it stands for, the number of a virtio one its place among all consoles. */
static bool port_taken(const Chardev *c, uint64_t port, const DomainDef *def) {
        DEVICE_FOREACH(Chardev, other, def, DEVICE_CONSOLE)
                if (other != c && other->port == port && (c->target != TARGET_SERIAL || other->target == TARGET_SERIAL))
                        return true;
        return false;
}

static int console_fill(Device *d, DomainDef *def, Fault *f) {
        Chardev *c = (Chardev *) d;

        if (c->target == TARGET_NONE)
                c->target = TARGET_SERIAL;
        if (c->port == NUMBER_UNSET)
                for (c->port = 0; port_taken(c, c->port, def);)
                        c->port++;
        return c->target == TARGET_SERIAL && !find_serial(def, c->port) ? add_serial(c, def, f) : 0;
}

static SlotKind console_slot(const Device *d, const DomainDef *def) {
        return console_is_mirror(d) ? SLOT_NONE : SLOT_VIRTIO_SERIAL;
}

static int console_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Chardev *c = (const Chardev *) d;

        if (c->target != TARGET_SERIAL && c->target != TARGET_VIRTIO)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "'%s' is a target of <serial>; a <console> is serial or virtio",
                                 serial_target_to_string((SerialTarget) c->target));
        if (caps && c->target == TARGET_VIRTIO && !caps_has_device(caps, "virtconsole"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'virtconsole'");
        return 0;
}

static int console_files(const Device *d, WantedFiles *requests) {
        return console_is_mirror(d) ? 0 : chardev_files(d, requests);
}

static int console_args(const Device *d, Args *a, Fault *f) {
        _cleanup_free_ char *chardev = strf("char%s", d->id);
        json_auto_t *json = NULL;
        int r;

        if (console_is_mirror(d))
                return 0;
        r = chardev ? chardev_args((const Chardev *) d, a) : -ENOMEM;
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", "virtconsole", "id", d->id, "chardev", chardev);
        if (!json)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static const char *console_fixed(const Device *d, const DomainDef *def) {
        return device_slot(d, def) == SLOT_NONE ? "only a virtio console can be" : NULL;
}

const DeviceOps device_console = {
        .kind = DEVICE_CONSOLE, .element = "console", .type = &console_record, .drop_live = chardev_drop_live, .fill = console_fill,
        .slot = console_slot, .check = console_check, .files = console_files, .companion = chardev_companion, .fixed = console_fixed,
        .args = console_args,
};
