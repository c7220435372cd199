/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memballoon.h"

#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

typedef struct Balloon {
        Device device;
        int model;                    /* VirtioModel, or BALLOON_NONE */
        Tristate autodeflate, free_page_reporting;
        uint64_t stats_period;        /* s */
        VirtioOptions virtio;
} Balloon;

typedef enum BalloonModel { BALLOON_UNSET, BALLOON_VIRTIO, BALLOON_TRANSITIONAL, BALLOON_NON_TRANSITIONAL, BALLOON_NONE } BalloonModel;
static const char *const model_words[] = { NULL, "virtio", "virtio-transitional", "virtio-non-transitional", "none" };
static const EnumTable model_table = { model_words, ARRAY_SIZE(model_words) };

#define AT(member) offsetof(Balloon, member)
static const Field balloon_fields[] = {
        { "@model", &field_enum, AT(model), .words = &model_table },
        { "@autodeflate", &field_on_off, AT(autodeflate) },
        { "@freePageReporting", &field_on_off, AT(free_page_reporting) },
        { "stats/@period", &field_number, AT(stats_period), .max = 3600 },
        VIRTIO_FIELDS(AT(virtio)),
        DEVICE_FIELDS(Balloon),
};
#undef AT

static const RecordType balloon_record = {
        "memballoon", sizeof(Balloon), RECORD_FIELDS(balloon_fields), .clear = device_clear, .copied = device_copied,
};

static const char *balloon_prefix(const Device *d) {
        return "balloon";
}

static int balloon_fill(Device *d, DomainDef *def, Fault *f) {
        Balloon *b = (Balloon *) d;

        if (b->model == BALLOON_UNSET)
                b->model = BALLOON_VIRTIO;
        return 0;
}

static SlotKind balloon_slot(const Device *d, const DomainDef *def) {
        return ((const Balloon *) d)->model == BALLOON_NONE ? SLOT_NONE : SLOT_PCIE;
}

static const char *balloon_driver(const Balloon *b) {
        return virtio_driver("virtio-balloon", b->model == BALLOON_TRANSITIONAL, b->model == BALLOON_NON_TRANSITIONAL);
}

static int balloon_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Balloon *b = (const Balloon *) d;

        DEVICE_FOREACH(Balloon, other, def, DEVICE_MEMBALLOON)
                if (other != b)
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "there can be only one memory balloon");
        if (caps && b->model != BALLOON_NONE && !caps_has_device(caps, balloon_driver(b)))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", balloon_driver(b));
        return 0;
}

static int balloon_args(const Device *d, Args *a, Fault *f) {
        const Balloon *b = (const Balloon *) d;
        json_auto_t *json = NULL;
        int r;

        if (b->model == BALLOON_NONE)
                return 0;
        json = json_pack("{s:s, s:s}", "driver", balloon_driver(b), "id", d->id);
        if (!json || json_set_switch(json, "deflate-on-oom", b->autodeflate) < 0 ||
            json_set_switch(json, "free-page-reporting", b->free_page_reporting) < 0 || virtio_options_add(&b->virtio, json) < 0)
                return -ENOMEM;
        r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

static int balloon_settle(const Device *d, const DomainDef *def, json_t *commands) {
        const Balloon *b = (const Balloon *) d;
        _cleanup_free_ char *path = NULL;
        int r = 0;

        if (b->model == BALLOON_NONE)
                return 0;
        if (def->current_memory < def->memory)
                r = args_command(commands, "balloon", json_pack("{s:I}", "value", (json_int_t) def->current_memory));
        if (r < 0 || b->stats_period == NUMBER_UNSET || b->stats_period == 0)
                return r;
        path = strf("/machine/peripheral/%s", d->id);
        return path ? args_command(commands, "qom-set", json_pack("{s:s, s:s, s:I}", "path", path, "property",
                                                                  "guest-stats-polling-interval", "value",
                                                                  (json_int_t) b->stats_period)) : -ENOMEM;
}

const char *memballoon_id(const DomainDef *def, bool *ret_tells) {
        assert(def);

        DEVICE_FOREACH(Balloon, b, def, DEVICE_MEMBALLOON)
                if (b->model != BALLOON_NONE) {
                        if (ret_tells)
                                *ret_tells = b->stats_period != NUMBER_UNSET && b->stats_period > 0;
                        return b->device.id;
                }
        return NULL;
}

const DeviceOps device_memballoon = {
        .kind = DEVICE_MEMBALLOON, .element = "memballoon", .type = &balloon_record,
        .id_prefix = balloon_prefix, .fill = balloon_fill, .slot = balloon_slot, .check = balloon_check, .args = balloon_args,
        .settle = balloon_settle,
};
