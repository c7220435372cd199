/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chardev.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <channel>: a named stream between the guest and the host: the guest agent's, the viewer's. */
typedef struct Channel {
        Chardev chardev;
        char *name;
        char *state;                 /* live */
} Channel;

#define AGENT_NAME "org.qemu.guest_agent.0"

static const Field channel_fields[] = {
        CHARDEV_FIELDS,
        { "target/@name", &field_string, offsetof(Channel, name), .max_length = 255 },
        { "target/@state", &field_string, offsetof(Channel, state), FIELD_LIVE, .max_length = 16 },
};

static const RecordType channel_record = {
        "channel", sizeof(Channel), RECORD_FIELDS(channel_fields), .check = chardev_check_record, .clear = device_clear, .copied = device_copied,
};

static int channel_fill(Device *d, DomainDef *def, Fault *f) {
        Channel *c = (Channel *) d;

        if (c->chardev.target == TARGET_NONE)
                c->chardev.target = TARGET_VIRTIO;
        if (!c->name && c->chardev.type == CHARDEV_SPICEVMC && free_and_strdup(&c->name, "com.redhat.spice.0") < 0)
                return fault_oom(f);
        if (!c->name && c->chardev.type == CHARDEV_VDAGENT && free_and_strdup(&c->name, "com.redhat.spice.0") < 0)
                return fault_oom(f);
        return 0;
}

static SlotKind channel_slot(const Device *d, const DomainDef *def) {
        return SLOT_VIRTIO_SERIAL;
}

static int channel_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Channel *c = (const Channel *) d;

        if (c->chardev.target != TARGET_VIRTIO)
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "target type '%s' is not supported, only 'virtio'",
                                 serial_target_to_string((SerialTarget) c->chardev.target));
        DEVICE_FOREACH(Channel, other, def, DEVICE_CHANNEL) {
                if (other == c)
                        break;
                if (c->name && streq_null(other->name, c->name))
                        return xml_fault(&d->head, f, FAULT_INVALID_DEFINITION, "the name '%s' is already that of the channel in line %u", c->name,
                                         other->chardev.device.head.line);
        }
        if (caps && !caps_has_device(caps, "virtserialport"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'virtserialport'");
        return chardev_check(&c->chardev, def, caps, f);
}

static int channel_args(const Device *d, Args *a, Fault *f) {
        const Channel *c = (const Channel *) d;
        _cleanup_free_ char *chardev = strf("char%s", d->id);
        json_auto_t *json = NULL;
        int r = chardev ? chardev_args(&c->chardev, a) : -ENOMEM;

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", "virtserialport", "id", d->id, "chardev", chardev);
        r = json ? json_set_text(json, "name", c->name) : -ENOMEM;
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_channel = {
        .kind = DEVICE_CHANNEL, .element = "channel", .type = &channel_record, .drop_live = chardev_drop_live,
        .fill = channel_fill, .slot = channel_slot, .check = channel_check, .files = chardev_files, .companion = chardev_companion,
        .fixed = device_never_fixed, .args = channel_args,
};

bool channel_is_agent(const Device *d) {
        return streq_null(((const Channel *) d)->name, AGENT_NAME);
}

const Chardev *domain_find_agent_channel(const DomainDef *def) {
        DEVICE_FOREACH(Channel, c, def, DEVICE_CHANNEL)
                if (channel_is_agent(&c->chardev.device) && chardev_waits_for_us(&c->chardev))
                        return &c->chardev;
        return NULL;
}
