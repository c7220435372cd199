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
        bool readonly, pmem;         /* pmem: what was written is there when the host ends at that moment */
        uint64_t align;
        uint64_t base;               /* where the guest finds it, of those that are no dimm; NUMBER_UNSET: QEMU chooses */
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
        { "source/alignsize", &field_size, AT(align), .unit = "KiB" },
        { "source/pmem", &field_flag, AT(pmem) },
        { "target/size", &field_size, AT(size), FIELD_REQUIRED, .unit = "KiB" },
        { "target/node", &field_number, AT(node), .max = 127 },
        { "target/block", &field_size, AT(block), .unit = "KiB" },
        { "target/requested", &field_size, AT(requested), .unit = "KiB" },
        { "target/current", &field_size, AT(current), FIELD_LIVE, .unit = "KiB" },
        { "target/label/size", &field_size, AT(label), .unit = "KiB" },
        { "target/address/@base", &field_hex, AT(base), .max = INT64_MAX, .digits = 1 },
        { "target/readonly", &field_flag, AT(readonly) },
        DEVICE_FIELDS(MemoryDevice),
};
#undef AT

static bool is_file(const MemoryDevice *m) {
        return m->model == MODEL_NVDIMM || m->model == MODEL_VIRTIO_PMEM;
}

static bool has_slot(const MemoryDevice *m) {
        return m->model == MODEL_DIMM || m->model == MODEL_NVDIMM;
}

static int check_record(Record *r, Fault *f) {
        const MemoryDevice *m = (const MemoryDevice *) r;

        if (m->model == MODEL_SGX)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "model 'sgx-epc' is not supported: it takes a host with SGX");
        if (is_file(m) && (!m->path || m->path[0] != '/'))
                return xml_fault_below(r, "source/path", f, FAULT_INVALID_DEFINITION,
                                       "model '%s' keeps what is written in a file: its absolute path is missing", model_words[m->model]);
        if (is_file(m) && (m->nodes || m->page != NUMBER_UNSET))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "nodemask and pagesize are for memory of the host, not for files");
        if (!is_file(m) && (m->path || m->align != NUMBER_UNSET || m->pmem || m->readonly))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "path, alignsize, pmem and readonly belong to the models 'nvdimm' and 'virtio-pmem'");
        if (m->model != MODEL_NVDIMM && (m->label != NUMBER_UNSET || m->readonly))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "label and readonly belong to the model 'nvdimm'");
        if (m->model != MODEL_VIRTIO_MEM && (m->block != NUMBER_UNSET || m->requested != NUMBER_UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "block and requested belong to the model 'virtio-mem'");
        return 0;
}

static const RecordType memory_record = {
        "memory", sizeof(MemoryDevice), RECORD_FIELDS(memory_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static const char *memory_prefix(const Device *d) {
        static const char *const prefixes[] = {
                [MODEL_DIMM] = "dimm", [MODEL_NVDIMM] = "nvdimm", [MODEL_VIRTIO_MEM] = "virtiomem", [MODEL_VIRTIO_PMEM] = "virtiopmem", [MODEL_SGX] = "epc",
        };

        return prefixes[((const MemoryDevice *) d)->model];
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
        if (!has_slot(m) || d->address)
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
        return has_slot((const MemoryDevice *) d) ? SLOT_NONE : SLOT_PCIE;
}

static const char *memory_driver(const MemoryDevice *m) {
        static const char *const drivers[] = {
                [MODEL_DIMM] = "pc-dimm", [MODEL_NVDIMM] = "nvdimm", [MODEL_VIRTIO_MEM] = "virtio-mem-pci", [MODEL_VIRTIO_PMEM] = "virtio-pmem-pci",
        };

        return drivers[m->model];
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
        if (m->label != NUMBER_UNSET && (m->label < 128 << 10 || m->label >= m->size))
                return xml_fault_below(&d->head, "target/label/size", f, FAULT_INVALID_DEFINITION, "it is 128 KiB at least, and less than the size");
        if (m->base != NUMBER_UNSET && has_slot(m))
                return xml_fault_below(&d->head, "target/address", f, FAULT_INVALID_DEFINITION, "that of a dimm is <address type='dimm' base='0x…'/>");
        if (has_slot(m) && !def->acpi)
                return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "guests find it through ACPI, which the domain has not: <features><acpi/></features>");
        if (caps && !caps_has_device(caps, memory_driver(m)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", memory_driver(m));
        return 0;
}

static int device_files(const Device *d, WantedFiles *requests) {
        const MemoryDevice *m = (const MemoryDevice *) d;
        const WantedFile file = {
                .want = WANTED_FD, .path = m->path, .format = (char *) "raw", .writable = !m->readonly,
                .lease = m->readonly || m->access == MEMORY_SHARED ? LEASE_WITH_OTHERS : LEASE_ALONE, .line = d->head.line,
        };

        return is_file(m) ? wanted_files_add(requests, &file) : 0;
}

static int memory_companion(const Device *d, const char *state, Companion *ret) {
        return companion_hostdev(ret, "file", ((const MemoryDevice *) d)->path, false);
}

/* QEMU opens it once more, by the descriptor that it has got, for which the file is opened to its user. What is written has to reach the file. */
static int file_backend(const MemoryDevice *m, const char *id, Args *a) {
        int fd = args_fd(a, PLAN_FD_IMAGE, m->path, !m->readonly, false, false, NULL);
        int r = fd < 0 ? fd : args_fd(a, PLAN_FD_COMPANION, m->device.id, true, false, true, &(unsigned) { 0 });
        _cleanup_free_ char *path = strf("/proc/self/fd/%d", fd);
        json_auto_t *json = NULL;

        if (r < 0)
                return r;
        json = path ? json_pack("{s:s, s:s, s:s, s:I, s:b}", "qom-type", "memory-backend-file", "id", id, "mem-path", path, "size", (json_int_t) m->size,
                                "share", m->access != MEMORY_PRIVATE) : NULL;
        if (!json || json_set_number(json, "align", m->align) < 0 || json_set_switch(json, "pmem", m->pmem ? YES : UNSET) < 0 ||
            json_set_switch(json, "readonly", m->readonly ? YES : UNSET) < 0)
                return -ENOMEM;
        return args_json(a, ARG_OBJECT, TAKE_PTR(json));
}

static MemoryPiece piece_of(const MemoryDevice *m, const char *id) {
        return (MemoryPiece) {
                .id = id, .size = m->size, .access = m->access, .page = m->page == NUMBER_UNSET ? 0 : m->page, .nodes = m->nodes, .mode = NUMA_STRICT,
                .sparse = m->model == MODEL_VIRTIO_MEM,
        };
}

static int memory_args(const Device *d, Args *a, Fault *f) {
        const MemoryDevice *m = (const MemoryDevice *) d;
        _cleanup_free_ char *backend = strf("mem%s", d->id);
        const MemoryPiece piece = piece_of(m, backend);
        json_auto_t *json = NULL;
        int r = !backend ? -ENOMEM : is_file(m) ? file_backend(m, backend, a) : memory_backend_args(a, &piece);

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", memory_driver(m), "id", d->id, "memdev", backend);
        if (!json || (m->model != MODEL_VIRTIO_PMEM && json_set_number(json, "node", m->node) < 0))
                return -ENOMEM;
        if (m->model == MODEL_NVDIMM &&
            (json_set_number(json, "label-size", m->label) < 0 || json_set_switch(json, "unarmed", m->readonly ? YES : UNSET) < 0))
                return -ENOMEM;
        if (m->model == MODEL_VIRTIO_MEM &&
            (json_set_number(json, "block-size", m->block) < 0 || json_set_number(json, "requested-size", m->requested) < 0))
                return -ENOMEM;
        if (json_set_number(json, "memaddr", m->base) < 0)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

bool domain_has_nvdimm(const DomainDef *def) {
        DEVICE_FOREACH(MemoryDevice, m, def, DEVICE_MEMORY)
                if (m->model == MODEL_NVDIMM)
                        return true;
        return false;
}

/* They could come, but QEMU does not let them go again. */
static const char *memory_fixed(const Device *d, const DomainDef *def) {
        return is_file((const MemoryDevice *) d) ? "memory that is kept in a file is there from the start" : NULL;
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
        .fill = memory_fill, .slot = memory_slot, .check = memory_check_device, .fixed = memory_fixed, .args = memory_args,
        .files = device_files, .companion = memory_companion, .verdict = memory_verdict, .update = memory_update,
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

int memory_device_piece(const Device *d, MemoryPiece *ret, char **ret_id) {
        const MemoryDevice *m = (const MemoryDevice *) d;

        if (device_kind(d) != DEVICE_MEMORY || is_file(m))
                return 0;
        *ret_id = strf("mem%s", d->id);
        if (!*ret_id)
                return -ENOMEM;
        *ret = piece_of(m, *ret_id);
        return 1;
}
