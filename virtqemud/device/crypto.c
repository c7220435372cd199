/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <crypto>: ciphers that the guest leaves to QEMU. */
static const char *const model_words[] = { NULL, "virtio" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };
static const char *const type_words[] = { NULL, "qemu" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };
typedef enum CryptoBackend { BACKEND_UNSET, BACKEND_BUILTIN, BACKEND_LKCF } CryptoBackend;
static const char *const backend_words[] = { NULL, "builtin", "lkcf" };
static const EnumTable backend_table = { backend_words, ARRAY_SIZE(backend_words) };

typedef struct Crypto {
        Device device;
        int model, type, backend;
        uint64_t queues;
} Crypto;

#define AT(member) offsetof(Crypto, member)
static const Field crypto_fields[] = {
        { "@model", &field_enum, AT(model), FIELD_REQUIRED, .words = &model_table },
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &type_table },
        { "backend/@model", &field_enum, AT(backend), FIELD_REQUIRED, .words = &backend_table },
        { "backend/@queues", &field_number, AT(queues), .min = 1, .max = 1024 },
        DEVICE_FIELDS(Crypto),
};
#undef AT
static const RecordType crypto_record = { "crypto", sizeof(Crypto), RECORD_FIELDS(crypto_fields), .clear = device_clear, .copied = device_copied };

static SlotKind crypto_slot(const Device *d, const DomainDef *def) {
        return SLOT_PCIE;
}

static int crypto_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Crypto *c = (const Crypto *) d;

        if (c->backend == BACKEND_LKCF)
                return xml_fault_below(&d->head, "backend/@model", f, FAULT_NOT_SUPPORTED, "the kernel's ciphers are not supported, use 'builtin'");
        if (caps && !caps_has_device(caps, "virtio-crypto-pci"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'virtio-crypto-pci'");
        return 0;
}

static int crypto_args(const Device *d, Args *a, Fault *f) {
        const Crypto *c = (const Crypto *) d;
        _cleanup_free_ char *object = strf("obj%s", d->id);
        json_auto_t *json = NULL, *backend = json_pack("{s:s, s:s*}", "qom-type", "cryptodev-backend-builtin", "id", object);
        int r;

        if (!object || !backend || json_set_number(backend, "queues", c->queues) < 0)
                return -ENOMEM;
        r = args_json(a, ARG_OBJECT, TAKE_PTR(backend));
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", "virtio-crypto-pci", "id", d->id, "cryptodev", object);
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_crypto = {
        .kind = DEVICE_CRYPTO, .element = "crypto", .type = &crypto_record,
        .slot = crypto_slot, .check = crypto_check, .fixed = device_never_fixed, .args = crypto_args,
};
