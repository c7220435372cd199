/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock.h"

#include "str.h"
#include "virtio.h"
#include "xml-read.h"

typedef enum VsockModel { VSOCK_UNSET, VSOCK_VIRTIO, VSOCK_TRANSITIONAL, VSOCK_NON_TRANSITIONAL } VsockModel;
static const char *const model_words[] = { NULL, "virtio", "virtio-transitional", "virtio-non-transitional" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

static const Field vsock_fields[] = {
        { "@model", &field_enum, offsetof(Vsock, model), .words = &model_table },
        { "cid/@auto", &field_yes_no, offsetof(Vsock, automatic) },
        { "cid/@address", &field_number, offsetof(Vsock, cid), .min = VSOCK_CID_MIN, .max = UINT32_MAX - 1 },
        DEVICE_FIELDS(Vsock),
};

static const RecordType vsock_record = { "vsock", sizeof(Vsock), RECORD_FIELDS(vsock_fields), .clear = device_clear, .copied = device_copied };

bool vsock_is_automatic(const Vsock *v) {
        return v->automatic == YES || v->cid == NUMBER_UNSET;
}

static int vsock_fill(Device *d, DomainDef *def, Fault *f) {
        Vsock *v = (Vsock *) d;

        if (v->model == VSOCK_UNSET)
                v->model = VSOCK_VIRTIO;
        if (v->automatic == UNSET)
                v->automatic = v->cid == NUMBER_UNSET ? YES : NO;
        return 0;
}

/* A number that was chosen for one run is not the next one's. */
static void vsock_drop_live(Device *d) {
        Vsock *v = (Vsock *) d;

        if (v->automatic == YES)
                v->cid = NUMBER_UNSET;
}

static SlotKind vsock_slot(const Device *d, const DomainDef *def) {
        return SLOT_PCIE;
}

static const char *vsock_driver(const Vsock *v) {
        return v->model == VSOCK_NON_TRANSITIONAL ? "vhost-vsock-pci-non-transitional" : "vhost-vsock-pci";
}

Vsock *domain_find_vsock(const DomainDef *def) {
        size_t i = 0;

        return (Vsock *) device_next(def, DEVICE_VSOCK, &i);
}

static int vsock_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Vsock *v = (const Vsock *) d;

        if (domain_find_vsock(def) != v)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is one already");
        if (v->automatic == NO && v->cid == NUMBER_UNSET)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "auto='no' needs an address, from %u on", VSOCK_CID_MIN);
        if (v->model == VSOCK_TRANSITIONAL)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "there is no transitional one: vsock came after virtio 1.0");
        if (caps && !caps_has_device(caps, vsock_driver(v)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", vsock_driver(v));
        return 0;
}

static int vsock_args(const Device *d, Args *a, Fault *f) {
        const Vsock *v = (const Vsock *) d;
        _cleanup_free_ char *number = args_fd_name(a, args_fd(a, PLAN_FD_VSOCK, d->id, false, false, false, NULL));
        json_auto_t *json = NULL;
        int r;

        if (!number)
                return -ENOMEM;
        /* Where nothing is started yet, the least there can be stands for the one that will be chosen. */
        json = json_pack("{s:s, s:s, s:I, s:s}", "driver", vsock_driver(v), "id", d->id, "guest-cid",
                         (json_int_t) (v->cid == NUMBER_UNSET ? VSOCK_CID_MIN : v->cid), "vhostfd", number);
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_vsock = {
        .kind = DEVICE_VSOCK, .element = "vsock", .type = &vsock_record, .drop_live = vsock_drop_live,
        .fill = vsock_fill, .slot = vsock_slot, .check = vsock_check, .fixed = device_never_fixed, .args = vsock_args,
};
