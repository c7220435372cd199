/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <iommu>: one for the guest, which isolates its own devices with it. */
typedef enum IommuModel { IOMMU_NONE, IOMMU_INTEL, IOMMU_VIRTIO, IOMMU_SMMUV3 } IommuModel;
static const char *const model_words[] = { NULL, "intel", "virtio", "smmuv3" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

typedef struct Iommu {
        Device device;
        int model;                   /* IommuModel */
        Tristate intremap, caching, eim, iotlb;
        uint64_t bits;
} Iommu;

#define AT(member) offsetof(Iommu, member)
static const Field iommu_fields[] = {
        { "@model", &field_enum, AT(model), FIELD_REQUIRED, .words = &model_table },
        { "driver/@intremap", &field_on_off, AT(intremap) },
        { "driver/@caching_mode", &field_on_off, AT(caching) },
        { "driver/@eim", &field_on_off, AT(eim) },
        { "driver/@iotlb", &field_on_off, AT(iotlb) },
        { "driver/@aw_bits", &field_number, AT(bits), .min = 32, .max = 64 },
        DEVICE_FIELDS(Iommu),
};
#undef AT
static const RecordType iommu_record = { "iommu", sizeof(Iommu), RECORD_FIELDS(iommu_fields), .clear = device_clear, .copied = device_copied };

static SlotKind iommu_slot(const Device *d, const DomainDef *def) {
        return ((const Iommu *) d)->model == IOMMU_VIRTIO ? SLOT_PCI_INTEGRATED : SLOT_NONE;
}

static const char *iommu_driver(const Iommu *i) {
        return i->model == IOMMU_VIRTIO ? "virtio-iommu-pci" : "intel-iommu";
}

static int iommu_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Iommu *i = (const Iommu *) d;
        bool driver = i->intremap != UNSET || i->caching != UNSET || i->eim != UNSET || i->iotlb != UNSET || i->bits != NUMBER_UNSET;
        size_t n = 0;

        if (device_next(def, DEVICE_IOMMU, &n) != d)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is one already");
        if (i->model == IOMMU_SMMUV3)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "model 'smmuv3' is for machines of type aarch64");
        if (!domain_is_q35(def))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "it takes a machine of type q35");
        if (driver && i->model != IOMMU_INTEL)
                return xml_fault_below(&d->head, "driver", f, FAULT_INVALID_DEFINITION, "these are settings of model 'intel'");
        if (i->intremap == YES && def->type == DOMAIN_TYPE_KVM && def->ioapic != IOAPIC_QEMU) {
                xml_fault_below(&d->head, "driver/@intremap", f, FAULT_INVALID_DEFINITION, "QEMU has to have the interrupt controller for that");
                fault_hint(f, "<features><ioapic driver='qemu'/></features>");
                return -EINVAL;
        }
        if (i->eim == YES && def->type != DOMAIN_TYPE_KVM)
                return xml_fault_below(&d->head, "driver/@eim", f, FAULT_NOT_SUPPORTED, "it needs a domain of type 'kvm'");
        if (i->eim == YES && i->intremap != YES)
                return xml_fault_below(&d->head, "driver/@eim", f, FAULT_INVALID_DEFINITION, "it needs intremap='on'");
        if (caps && !caps_has_device(caps, iommu_driver(i)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", iommu_driver(i));
        return 0;
}

static int iommu_args(const Device *d, Args *a, Fault *f) {
        const Iommu *i = (const Iommu *) d;
        json_auto_t *json = json_pack("{s:s, s:s}", "driver", iommu_driver(i), "id", d->id);
        int r;

        if (!json || json_set_text(json, "intremap", i->intremap == UNSET ? NULL : i->intremap == YES ? "on" : "off") < 0 ||
            json_set_switch(json, "caching-mode", i->caching) < 0 ||
            json_set_switch(json, "device-iotlb", i->iotlb) < 0 || json_set_number(json, "aw-bits", i->bits) < 0 ||
            json_set_text(json, "eim", i->eim == UNSET ? NULL : i->eim == YES ? "on" : "off") < 0)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_iommu = {
        .kind = DEVICE_IOMMU, .element = "iommu", .type = &iommu_record, .slot = iommu_slot, .check = iommu_check, .args = iommu_args,
};
