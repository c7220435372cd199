/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include "device.h"
#include "mem.h"
#include "memory-backend.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <memory>: memory that is plugged in like a device. */
typedef enum MemoryModel { MODEL_UNSET, MODEL_DIMM, MODEL_NVDIMM, MODEL_VIRTIO_MEM, MODEL_VIRTIO_PMEM, MODEL_SGX } MemoryModel;
static const char *const model_words[] = { NULL, "dimm", "nvdimm", "virtio-mem", "virtio-pmem", "sgx-epc" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

typedef struct MemoryDevice {
        Device device;
        int model, access;           /* MemoryModel, MemoryAccess */
        Tristate discard;
        sd_id128_t uuid;
        char *nodes;                 /* <source>: nodes of the host */
        uint64_t page;
        char *path;                  /* nvdimm, virtio-pmem: a file, which keeps what is written */
        uint64_t size, block, requested, current, label;
        uint64_t node;               /* of the guest */
        bool readonly;
} MemoryDevice;

#define AT(member) offsetof(MemoryDevice, member)
static const Field memory_fields[] = {
        { "@model", &field_enum, AT(model), FIELD_REQUIRED, .words = &model_table },
        { "@access", &field_enum, AT(access), .words = &memory_access_table },
        { "@discard", &field_yes_no, AT(discard) },
        { "uuid", &field_uuid, AT(uuid) },
        { "source/nodemask", &field_string, AT(nodes), .max_length = 1024 },
        { "source/pagesize", &field_size, AT(page), .unit = "KiB" },
        { "source/path", &field_string, AT(path) },
        { "target/size", &field_size, AT(size), FIELD_REQUIRED, .unit = "KiB" },
        { "target/node", &field_number, AT(node), .max = 127 },
        { "target/block", &field_size, AT(block), .unit = "KiB" },
        { "target/requested", &field_size, AT(requested), .unit = "KiB" },
        { "target/current", &field_size, AT(current), FIELD_LIVE, .unit = "KiB" },
        { "target/label/size", &field_size, AT(label), .unit = "KiB" },
        { "target/readonly", &field_flag, AT(readonly) },
        DEVICE_FIELDS(MemoryDevice),
};
#undef AT

static int check_record(Record *r, Fault *f) {
        const MemoryDevice *m = (const MemoryDevice *) r;

        if (m->model == MODEL_SGX)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "model 'sgx-epc' is not supported: it takes a host with SGX");
        if (m->model == MODEL_NVDIMM || m->model == MODEL_VIRTIO_PMEM)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "model '%s' keeps a file in memory, and QEMU opens no files here", model_words[m->model]);
        if (m->path || m->label != NUMBER_UNSET || m->readonly)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "path, label and readonly belong to the models 'nvdimm' and 'virtio-pmem'");
        if (m->model != MODEL_VIRTIO_MEM && (m->block != NUMBER_UNSET || m->requested != NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "block and requested belong to the model 'virtio-mem'");
        return 0;
}

static const RecordType memory_record = {
        "memory", sizeof(MemoryDevice), RECORD_FIELDS(memory_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static const char *memory_prefix(const Device *d) {
        return ((const MemoryDevice *) d)->model == MODEL_VIRTIO_MEM ? "virtiomem" : "dimm";
}

static bool slot_is_taken(const DomainDef *def, const Device *d, uint64_t slot) {
        DEVICE_FOREACH(MemoryDevice, other, def, DEVICE_MEMORY)
                if (&other->device != d && other->device.address && other->device.address->type == ADDRESS_DIMM && other->device.address->slot == slot)
                        return true;
        return false;
}

static int memory_fill(Device *d, DomainDef *def, Fault *f) {
        MemoryDevice *m = (MemoryDevice *) d;
        uint64_t slot = 0;

        if (m->model == MODEL_VIRTIO_MEM && m->requested == NUMBER_UNSET)
                m->requested = 0;
        if (m->model == MODEL_VIRTIO_MEM && m->block == NUMBER_UNSET)
                m->block = 2 << 20;
        if (m->model != MODEL_DIMM || d->address)
                return 0;
        while (slot_is_taken(def, d, slot))
                slot++;
        d->address = record_new(&address_record);
        if (!d->address)
                return fault_oom(f);
        d->address->type = ADDRESS_DIMM;
        d->address->slot = slot;
        return 0;
}

static SlotKind memory_slot(const Device *d, const DomainDef *def) {
        return ((const MemoryDevice *) d)->model == MODEL_VIRTIO_MEM ? SLOT_PCIE : SLOT_NONE;
}

static const char *memory_driver(const MemoryDevice *m) {
        return m->model == MODEL_VIRTIO_MEM ? "virtio-mem-pci" : "pc-dimm";
}

static int check_sizes(const MemoryDevice *m, Fault *f) {
        const Record *r = &m->device.head;

        if (m->size == 0 || m->size % (1 << 20) != 0)
                return xml_fault_below(r, "target/size", f, FAULT_INVALID_DEFINITION, "it is a multiple of 1 MiB");
        if (m->model != MODEL_VIRTIO_MEM)
                return 0;
        if (!number_is_power_of_two(m->block) || m->block < 1 << 20)
                return xml_fault_below(r, "target/block", f, FAULT_INVALID_DEFINITION, "it is a power of two, from 1 MiB on");
        if (m->size % m->block != 0 || m->requested % m->block != 0)
                return xml_fault_below(r, "target", f, FAULT_INVALID_DEFINITION, "size and requested are multiples of the block");
        if (m->requested > m->size)
                return xml_fault_below(r, "target/requested", f, FAULT_INVALID_DEFINITION, "it is more than the size");
        return 0;
}

static int memory_check_device(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const MemoryDevice *m = (const MemoryDevice *) d;

        if (def->memory_max == NUMBER_UNSET) {
                xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is no room for it: the domain has no <maxMemory>");
                fault_hint(f, "<maxMemory slots='8' unit='GiB'>16</maxMemory> says how much memory there can be with all that is plugged in");
                return -EINVAL;
        }
        if (d->address && d->address->type == ADDRESS_DIMM && d->address->slot != NUMBER_UNSET && d->address->slot >= def->memory_slots)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there is no slot %" PRIu64 ", <maxMemory> has %" PRIu64, d->address->slot,
                                 def->memory_slots);
        if (d->address && d->address->type == ADDRESS_DIMM && slot_is_taken(def, d, d->address->slot))
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "the slot %" PRIu64 " is taken", d->address->slot);
        if (m->node != NUMBER_UNSET && m->node > 0 && m->node >= def->numa.cells.n)
                return xml_fault_below(&d->head, "target/node", f, FAULT_INVALID_DEFINITION, "the guest has no node %" PRIu64, m->node);
        if (check_sizes(m, f) < 0)
                return -EINVAL;
        if (m->model == MODEL_VIRTIO_MEM && def->memory_backing.locked)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "what it gives back to the host can't be locked, as memoryBacking/locked wants");
        if (m->model == MODEL_DIMM && !def->acpi)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "guests find it through ACPI, which the domain has not: <features><acpi/></features>");
        if (caps && !caps_has_device(caps, memory_driver(m)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", memory_driver(m));
        return 0;
}

static int memory_args(const Device *d, Args *a, Fault *f) {
        const MemoryDevice *m = (const MemoryDevice *) d;
        _cleanup_free_ char *backend = strf("mem%s", d->id);
        const MemoryPiece piece = {
                .id = backend, .size = m->size, .access = m->access, .page = m->page == NUMBER_UNSET ? 0 : m->page, .nodes = m->nodes, .mode = NUMA_STRICT,
                .sparse = m->model == MODEL_VIRTIO_MEM,
        };
        json_auto_t *json = NULL;
        int r = backend ? args_json(a, ARG_OBJECT, memory_backend(a->def, &piece)) : -ENOMEM;

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", memory_driver(m), "id", d->id, "memdev", backend);
        if (!json || json_set_number(json, "node", m->node) < 0)
                return -ENOMEM;
        if (m->model == MODEL_VIRTIO_MEM &&
            (json_set_number(json, "block-size", m->block) < 0 || json_set_number(json, "requested-size", m->requested) < 0))
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static ChangeVerdict memory_verdict(const Device *before, const Device *after, const char *path) {
        return streq(path, "target/requested") ? CHANGE_NOW : CHANGE_AT_POWER_OFF;
}

static json_t *wish(const char *path, uint64_t bytes) {
        return json_pack("{s:s, s:s, s:I}", "path", path, "property", "requested-size", "value", (json_int_t) bytes);
}

/* The guest takes or gives blocks as it can, and tells how much it has. */
static int memory_update(const Device *before, const Device *after, const DomainDef *def, json_t *commands) {
        const MemoryDevice *was = (const MemoryDevice *) before, *m = (const MemoryDevice *) after;
        _cleanup_free_ char *path = strf("/machine/peripheral/%s", after->id);

        if (m->model != MODEL_VIRTIO_MEM || m->requested == was->requested)
                return 0;
        return path ? args_command_undo(commands, "qom-set", wish(path, m->requested), "qom-set", wish(path, was->requested)) : -ENOMEM;
}

const DeviceOps device_memory = {
        .kind = DEVICE_MEMORY, .element = "memory", .type = &memory_record, .id_prefix = memory_prefix,
        .fill = memory_fill, .slot = memory_slot, .check = memory_check_device, .fixed = device_never_fixed, .args = memory_args,
        .verdict = memory_verdict, .update = memory_update,
};

uint64_t domain_plugged_memory(const DomainDef *def) {
        uint64_t bytes = 0;

        DEVICE_FOREACH(MemoryDevice, m, def, DEVICE_MEMORY)
                bytes += m->size;
        return bytes;
}

int memory_set_current(Device *d, uint64_t bytes) {
        if (d->ops != &device_memory)
                return 0;
        ((MemoryDevice *) d)->current = bytes;
        return 1;
}

void domain_count_memory(DomainDef *def, const Device *d, bool more) {
        uint64_t size = d->ops == &device_memory ? ((const MemoryDevice *) d)->size : 0;

        assert(def);

        def->memory += more ? size : -MIN(size, def->memory);
        if (def->current_memory != NUMBER_UNSET)
                def->current_memory += more ? size : -MIN(size, def->current_memory);
}
