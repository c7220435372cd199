/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* <panic>: the guest's kernel tells through it that it has given up, so that <on_crash> can be obeyed. */
typedef struct Panic {
        Device device;
        int model;
} Panic;

typedef enum PanicModel { PANIC_UNSET, PANIC_ISA, PANIC_PCI, PANIC_HYPERV } PanicModel;
static const char *const model_words[] = { NULL, "isa", "pvpanic", "hyperv" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

#define DEFAULT_PORT 0x505u /* where guests look */

static const Field panic_fields[] = {
        { "@model", &field_enum, offsetof(Panic, model), .words = &model_table },
        DEVICE_FIELDS(Panic),
};

static const RecordType panic_record = {
        "panic", sizeof(Panic), RECORD_FIELDS(panic_fields), .clear = device_clear, .copied = device_copied,
};

static const char *panic_prefix(const Device *d) {
        return "panic";
}

static int panic_fill(Device *d, DomainDef *def, Fault *f) {
        Panic *p = (Panic *) d;

        if (p->model == PANIC_UNSET)
                p->model = PANIC_ISA;
        return 0;
}

static SlotKind panic_slot(const Device *d, const DomainDef *def) {
        return ((const Panic *) d)->model == PANIC_PCI ? SLOT_PCI : SLOT_NONE;
}

static const char *panic_driver(const Panic *p) {
        return p->model == PANIC_PCI ? "pvpanic-pci" : "pvpanic";
}

static int panic_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Panic *p = (const Panic *) d;

        if (p->model == PANIC_ISA && d->address && d->address->type != ADDRESS_ISA)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "model 'isa' has an address of type 'isa'");
        DEVICE_FOREACH(Panic, other, def, DEVICE_PANIC) {
                if (other == p)
                        break;
                if (other->model == p->model)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is one of model '%s' already", model_words[p->model]);
        }
        if (p->model == PANIC_HYPERV && d->address)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "model 'hyperv' is a part of the CPU, and has no address");
        if (p->model != PANIC_HYPERV && caps && !caps_has_device(caps, panic_driver(p)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", panic_driver(p));
        return 0;
}

static int panic_args(const Device *d, Args *a, Fault *f) {
        const Panic *p = (const Panic *) d;
        json_auto_t *json = NULL;
        uint64_t port = DEFAULT_PORT;
        int r;

        if (p->model == PANIC_HYPERV)
                return 0; /* the CPU has it */
        json = json_pack("{s:s, s:s}", "driver", panic_driver(p), "id", d->id);
        if (!json)
                return -ENOMEM;
        if (p->model == PANIC_ISA) {
                if (d->address && d->address->iobase != NUMBER_UNSET)
                        port = d->address->iobase;
                r = json_object_set_new(json, "ioport", json_integer((json_int_t) port)) < 0 ? -ENOMEM : 0;
        } else
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_panic = {
        .kind = DEVICE_PANIC, .element = "panic", .type = &panic_record, .id_prefix = panic_prefix,
        .fill = panic_fill, .slot = panic_slot, .check = panic_check, .args = panic_args,
};

bool domain_has_hyperv_panic(const DomainDef *def) {
        DEVICE_FOREACH(Panic, p, def, DEVICE_PANIC)
                if (p->model == PANIC_HYPERV)
                        return true;
        return false;
}
