/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* <parallel>: a printer's port. */
static const Field parallel_fields[] = { CHARDEV_FIELDS };

static const RecordType parallel_record = {
        "parallel", sizeof(Chardev), RECORD_FIELDS(parallel_fields), .check = chardev_check_record, .clear = device_clear, .copied = device_copied,
};

static int parallel_fill(Device *d, DomainDef *def, Fault *f) {
        Chardev *c = (Chardev *) d;

        if (c->port != NUMBER_UNSET)
                return 0;
        c->port = 0;
        DEVICE_FOREACH(Chardev, other, def, DEVICE_PARALLEL)
                if (other != c && other->port != NUMBER_UNSET && other->port >= c->port)
                        c->port = other->port + 1;
        return 0;
}

static int parallel_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Chardev *c = (const Chardev *) d;

        if (c->type == CHARDEV_PTY)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "a parallel port is no terminal: type 'file' or 'unix' takes what is printed");
        if (c->target != TARGET_NONE)
                return xml_fault_below(&d->head, "target/@type", f, FAULT_INVALID_DEFINITION, "a parallel port has none");
        if (c->port > 2)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "a board has three parallel ports, 0 to 2");
        DEVICE_FOREACH(Chardev, other, def, DEVICE_PARALLEL) {
                if (other == c)
                        break;
                if (other->port == c->port)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "port %" PRIu64 " is already that of the parallel port in line %u", c->port,
                                         other->device.head.line);
        }
        if (caps && !caps_has_device(caps, "isa-parallel"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'isa-parallel'");
        return chardev_check(c, def, caps, f);
}

static int parallel_args(const Device *d, Args *a, Fault *f) {
        const Chardev *c = (const Chardev *) d;
        _cleanup_free_ char *chardev = strf("char%s", d->id);
        int r = chardev ? chardev_args(c, a) : -ENOMEM;

        return r < 0 ? r : args_json(a, ARG_DEVICE, json_pack("{s:s, s:s, s:s, s:I}", "driver", "isa-parallel", "id", d->id, "chardev", chardev, "index",
                                                              (json_int_t) c->port));
}

const DeviceOps device_parallel = {
        .kind = DEVICE_PARALLEL, .element = "parallel", .type = &parallel_record, .drop_live = chardev_drop_live,
        .fill = parallel_fill, .check = parallel_check, .files = chardev_files, .companion = chardev_companion, .args = parallel_args,
};
