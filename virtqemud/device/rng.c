/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include "mem.h"
#include "netaddr.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <rng>. QEMU opens no files, so /dev/urandom and /dev/random both are QEMU's built-in source, which asks the kernel for the same bytes. */
typedef struct Rng {
        Device device;
        int model, backend;
        char *source;                 /* text of <backend> */
        uint64_t rate_bytes, rate_period;
        int egd, mode, protocol;      /* of the daemon that is asked: tcp or unix; connect; raw */
        char *host, *path;
        uint64_t service;
        VirtioOptions virtio;
} Rng;

typedef enum RngModel { RNG_UNSET, RNG_VIRTIO, RNG_TRANSITIONAL, RNG_NON_TRANSITIONAL } RngModel;
static const char *const model_words[] = { NULL, "virtio", "virtio-transitional", "virtio-non-transitional" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

typedef enum RngBackend { RNG_BACKEND_UNSET, RNG_RANDOM, RNG_BUILTIN, RNG_EGD } RngBackend;
static const char *const backend_words[] = { NULL, "random", "builtin", "egd" };
typedef enum EgdType { EGD_UNSET, EGD_TCP, EGD_UNIX } EgdType;
static const char *const egd_words[] = { NULL, "tcp", "unix" };
static const EnumTable egd_table = { egd_words, ARRAY_SIZE(egd_words) };
static const char *const mode_words[] = { NULL, "connect" };
static const EnumTable mode_table = { mode_words, ARRAY_SIZE(mode_words) };
static const char *const protocol_words[] = { NULL, "raw" };
static const EnumTable protocol_table = { protocol_words, ARRAY_SIZE(protocol_words) };
static const EnumTable backend_table = { backend_words, ARRAY_SIZE(backend_words) };

#define AT(member) offsetof(Rng, member)
static const Field rng_fields[] = {
        { "@model", &field_enum, AT(model), FIELD_REQUIRED, .words = &model_table },
        { "rate/@bytes", &field_number, AT(rate_bytes), .min = 1 },
        { "rate/@period", &field_number, AT(rate_period), .min = 1 },
        { "backend", &field_string, AT(source) },
        { "backend/@model", &field_enum, AT(backend), FIELD_REQUIRED, .words = &backend_table },
        { "backend/@type", &field_enum, AT(egd), .words = &egd_table },
        { "backend/source/@mode", &field_enum, AT(mode), .words = &mode_table },
        { "backend/protocol/@type", &field_enum, AT(protocol), .words = &protocol_table },
        { "backend/source/@host", &field_string, AT(host), .max_length = 255 },
        { "backend/source/@service", &field_number, AT(service), .min = 1, .max = 65535 },
        { "backend/source/@path", &field_string, AT(path), .max_length = 107 },
        VIRTIO_FIELDS(AT(virtio)),
        DEVICE_FIELDS(Rng),
};
#undef AT

static int check_egd(const Rng *rng, Fault *f) {
        const Record *r = &rng->device.head;
        IpAddress ip;

        if (rng->backend != RNG_EGD && (rng->egd || rng->host || rng->path || rng->protocol || rng->service != NUMBER_UNSET))
                return xml_fault_below(r, "backend", f, FAULT_INVALID_DEFINITION, "type and <source> belong to the model 'egd'");
        if (rng->backend != RNG_EGD)
                return 0;
        if (rng->egd == EGD_UNIX && rng->path && rng->path[0] == '/' && !rng->host)
                return 0;
        if (rng->egd != EGD_TCP || !rng->host || rng->service == NUMBER_UNSET || rng->path)
                return xml_fault_below(r, "backend", f, FAULT_INVALID_DEFINITION,
                                       "model 'egd' takes type='tcp' <source mode='connect' host='…' service='…'/>, or type='unix' with a path");
        if (ip_from_text(ip_of_localhost(rng->host), &ip) < 0)
                return xml_fault_below(r, "backend/source/@host", f, FAULT_NOT_SUPPORTED, "'%.64s' is no address, and names are not looked up", rng->host);
        return 0;
}

static int check_record(Record *r, Fault *f) {
        const Rng *rng = (const Rng *) r;

        if (rng->rate_period != NUMBER_UNSET && rng->rate_bytes == NUMBER_UNSET)
                return xml_fault(r, f, FAULT_INVALID_DEFINITION, "<rate> has a period but no bytes");
        return check_egd(rng, f);
}

static const RecordType rng_record = {
        "rng", sizeof(Rng), RECORD_FIELDS(rng_fields), .check = check_record, .clear = device_clear, .copied = device_copied,
};

static int rng_fill(Device *d, DomainDef *def, Fault *f) {
        Rng *rng = (Rng *) d;

        if (rng->backend == RNG_RANDOM && is_empty(rng->source) && free_and_strdup(&rng->source, "/dev/urandom") < 0)
                return fault_oom(f);
        return 0;
}

static SlotKind rng_slot(const Device *d, const DomainDef *def) {
        return SLOT_PCIE;
}

static const char *rng_driver(const Rng *rng) {
        return virtio_driver("virtio-rng", rng->model == RNG_TRANSITIONAL, rng->model == RNG_NON_TRANSITIONAL);
}

static int rng_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Rng *rng = (const Rng *) d;

        if (rng->backend == RNG_RANDOM && !streq(rng->source, "/dev/urandom") && !streq(rng->source, "/dev/random")) {
                xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "backend '%.128s' is not supported", rng->source);
                fault_hint(f, "use /dev/urandom: the kernel mixes hardware sources into it");
                return -EINVAL;
        }
        if (caps && (!caps_has_device(caps, rng_driver(rng)) || !caps_has_object(caps, rng->backend == RNG_EGD ? "rng-egd" : "rng-builtin")))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", rng_driver(rng));
        return 0;
}

/* A daemon that gathers entropy, over a connection that is made for QEMU. */
static int egd_args(const Rng *rng, const char *object, Args *a) {
        bool local = rng->egd == EGD_UNIX;
        _cleanup_free_ char *place = local ? strdup(rng->path) : strf("%s %" PRIu64, ip_of_localhost(rng->host), rng->service);
        _cleanup_free_ char *chardev = strf("char%s", rng->device.id);
        int fd = place ? args_fd(a, local ? PLAN_FD_CONNECT : PLAN_FD_CONNECT_TCP, place, false, false, false, NULL) : -ENOMEM;
        _cleanup_free_ char *number = args_fd_name(a, fd);
        int r = args_socket(a, chardev, number, false);

        return r < 0 ? r : args_json(a, ARG_OBJECT, json_pack("{s:s, s:s, s:s}", "qom-type", "rng-egd", "id", object, "chardev", chardev));
}

static int rng_args(const Device *d, Args *a, Fault *f) {
        const Rng *rng = (const Rng *) d;
        _cleanup_free_ char *object = strf("obj%s", d->id);
        json_auto_t *json = NULL;
        int r;

        if (!object)
                return -ENOMEM;
        r = rng->backend == RNG_EGD ? egd_args(rng, object, a) : args_json(a, ARG_OBJECT, json_pack("{s:s, s:s}", "qom-type", "rng-builtin", "id", object));
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", rng_driver(rng), "id", d->id, "rng", object);
        if (!json || virtio_options_add(&rng->virtio, json) < 0)
                return -ENOMEM;
        if (rng->rate_bytes != NUMBER_UNSET &&
            (json_object_set_new(json, "max-bytes", json_integer((json_int_t) rng->rate_bytes)) < 0 ||
             json_object_set_new(json, "period", json_integer(rng->rate_period == NUMBER_UNSET ? 1000 : (json_int_t) rng->rate_period)) < 0))
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_rng = {
        .kind = DEVICE_RNG, .element = "rng", .type = &rng_record,
        .fill = rng_fill, .slot = rng_slot, .check = rng_check, .fixed = device_never_fixed, .args = rng_args,
};
