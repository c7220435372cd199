/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <shmem>: memory that VMs share with each other and with programs of the host: a file of that name in /dev/shm, or what an ivshmem-server has. */
typedef enum ShmemModel { SHMEM_UNSET, SHMEM_PLAIN, SHMEM_DOORBELL, SHMEM_IVSHMEM } ShmemModel;
static const char *const model_words[] = { NULL, "ivshmem-plain", "ivshmem-doorbell", "ivshmem" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };
typedef enum ShmemRole { ROLE_UNSET, ROLE_MASTER, ROLE_PEER } ShmemRole;
static const char *const role_words[] = { NULL, "master", "peer" };
static const EnumTable role_table = { role_words, ARRAY_SIZE(role_words) };

#define FOLDER "/dev/shm/"
#define SIZE_DEFAULT (UINT64_C(4) << 20)

typedef struct Shmem {
        Device device;
        char *name, *server;
        int model, role;
        uint64_t size, vectors;
        Tristate msi, ioeventfd;
} Shmem;

#define AT(member) offsetof(Shmem, member)
static const Field shmem_fields[] = {
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = 200 },
        { "@role", &field_enum, AT(role), .words = &role_table },
        { "model/@type", &field_enum, AT(model), .words = &model_table },
        { "size", &field_size, AT(size), .unit = "B" },
        { "server/@path", &field_string, AT(server), .max_length = 107 },
        { "msi/@enabled", &field_on_off, AT(msi) },
        { "msi/@vectors", &field_number, AT(vectors), .min = 1, .max = 2048 },
        { "msi/@ioeventfd", &field_on_off, AT(ioeventfd) },
        DEVICE_FIELDS(Shmem),
};
#undef AT

static int check_record(Record *r, Fault *f) {
        const Shmem *s = (const Shmem *) r;

        if (s->model == SHMEM_IVSHMEM) {
                xml_fault_below(r, "model/@type", f, FAULT_NOT_SUPPORTED, "QEMU has no 'ivshmem' any more");
                fault_hint(f, "'ivshmem-plain' is memory alone, 'ivshmem-doorbell' also has interrupts");
                return -EOPNOTSUPP;
        }
        if (!*s->name || strchr(s->name, '/') || streq(s->name, ".") || streq(s->name, ".."))
                return xml_fault_below(r, "@name", f, FAULT_INVALID_DEFINITION, "'%.64s' can't be the name of a file", s->name);
        if (s->size != NUMBER_UNSET && (s->size < 1 << 20 || !number_is_power_of_two(s->size)))
                return xml_fault_below(r, "size", f, FAULT_INVALID_DEFINITION, "it is a power of two, from 1 MiB on");
        if (s->model == SHMEM_DOORBELL && (!s->server || s->server[0] != '/'))
                return xml_fault_below(r, "server", f, FAULT_INVALID_DEFINITION, "model 'ivshmem-doorbell' takes the absolute path of a server's socket");
        if (s->model == SHMEM_DOORBELL && (s->size != NUMBER_UNSET || s->role))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "the size is its server's to say, and it has no role");
        if (s->model != SHMEM_DOORBELL && (s->server || s->msi != UNSET || s->vectors != NUMBER_UNSET || s->ioeventfd != UNSET))
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "server and msi belong to the model 'ivshmem-doorbell'");
        return 0;
}

static const RecordType shmem_record = {
        "shmem", sizeof(Shmem), RECORD_FIELDS(shmem_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static char *shmem_path(const Shmem *s) {
        return strf(FOLDER "%s", s->name);
}

static int shmem_fill(Device *d, DomainDef *def, Fault *f) {
        Shmem *s = (Shmem *) d;

        if (s->model == SHMEM_UNSET)
                s->model = SHMEM_PLAIN;
        if (s->model == SHMEM_PLAIN && s->size == NUMBER_UNSET)
                s->size = SIZE_DEFAULT;
        return 0;
}

static SlotKind shmem_slot(const Device *d, const DomainDef *def) {
        return SLOT_PCI;
}

static const char *shmem_driver(const Shmem *s) {
        return s->model == SHMEM_DOORBELL ? "ivshmem-doorbell" : "ivshmem-plain";
}

static int shmem_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const char *driver = shmem_driver((const Shmem *) d);

        if (caps && !caps_has_device(caps, driver))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", driver);
        return 0;
}

static int shmem_files(const Device *d, WantedFiles *requests) {
        const Shmem *s = (const Shmem *) d;
        _cleanup_free_ char *path = shmem_path(s);
        const WantedFile file = { .want = WANTED_OUTPUT, .path = path, .writable = true, .append = true, .lease = LEASE_NONE, .line = d->head.line };

        if (s->model == SHMEM_DOORBELL)
                return 0;
        return path ? wanted_files_add(requests, &file) : -ENOMEM;
}

static int shmem_companion(const Device *d, const char *state, Companion *ret) {
        _cleanup_free_ char *path = shmem_path((const Shmem *) d);

        return path ? companion_hostdev(ret, "file", path, false) : -ENOMEM;
}

/* QEMU opens it once more, by the descriptor that it has got. */
static int add_memory(const Shmem *s, const char *id, Args *a) {
        _cleanup_free_ char *path = shmem_path(s), *again = NULL;
        unsigned fdset;
        int fd = path ? args_fd(a, PLAN_FD_OUTPUT, path, true, true, false, NULL) : -ENOMEM;
        int r = fd < 0 ? fd : args_fd(a, PLAN_FD_COMPANION, s->device.id, true, false, true, &fdset);

        if (r < 0)
                return r;
        again = strf("/proc/self/fd/%d", fd);
        return args_json(a, ARG_OBJECT, again ? json_pack("{s:s, s:s, s:s, s:I, s:b}", "qom-type", "memory-backend-file", "id", id, "mem-path", again,
                                                          "size", (json_int_t) s->size, "share", 1) : NULL);
}

static int add_server(const Shmem *s, const char *id, Args *a) {
        _cleanup_free_ char *number = args_fd_name(a, args_fd(a, PLAN_FD_CONNECT, s->server, false, false, false, NULL));

        return args_socket(a, id, number, false);
}

static int shmem_args(const Device *d, Args *a, Fault *f) {
        const Shmem *s = (const Shmem *) d;
        bool doorbell = s->model == SHMEM_DOORBELL;
        _cleanup_free_ char *behind = strf(doorbell ? "char%s" : "mem%s", d->id);
        json_auto_t *json = NULL;
        int r = behind ? (doorbell ? add_server : add_memory)(s, behind, a) : -ENOMEM;

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", shmem_driver(s), "id", d->id, doorbell ? "chardev" : "memdev", behind);
        if (!json || json_set_number(json, "vectors", s->msi == NO ? NUMBER_UNSET : s->vectors) < 0 ||
            json_set_switch(json, "ioeventfd", s->ioeventfd) < 0 || (!doorbell && json_set_text(json, "master", s->role == ROLE_MASTER ? "on" : "off") < 0))
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_shmem = {
        .kind = DEVICE_SHMEM, .element = "shmem", .type = &shmem_record, .fill = shmem_fill, .slot = shmem_slot, .check = shmem_check,
        .fixed = device_never_fixed, .files = shmem_files, .args = shmem_args, .companion = shmem_companion,
};
