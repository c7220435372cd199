/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev.h"

#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define PORT_CHARS "0123456789."

static const char *const mode_words[] = { NULL, "subsystem" };
static const EnumTable mode_table = { mode_words, ARRAY_SIZE(mode_words) };
static const char *const type_words[] = { NULL, "usb" };
static const EnumTable type_table = { type_words, ARRAY_SIZE(type_words) };

typedef enum StartupPolicy { STARTUP_UNSET, STARTUP_MANDATORY, STARTUP_REQUISITE, STARTUP_OPTIONAL } StartupPolicy;
static const char *const startup_words[] = { NULL, "mandatory", "requisite", "optional" };
static const EnumTable startup_table = { startup_words, ARRAY_SIZE(startup_words) };

typedef enum GuestReset { RESET_UNSET, RESET_OFF, RESET_UNINITIALIZED, RESET_ON } GuestReset;
static const char *const reset_words[] = { NULL, "off", "uninitialized", "on" };
static const EnumTable reset_table = { reset_words, ARRAY_SIZE(reset_words) };

#define AT(member) offsetof(Hostdev, member)
static const Field hostdev_fields[] = {
        { "@mode", &field_enum, AT(mode), FIELD_REQUIRED, .words = &mode_table },
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &type_table },
        { "@managed", &field_yes_no, AT(managed) },
        { "source/@startupPolicy", &field_enum, AT(startup_policy), .words = &startup_table },
        { "source/@guestReset", &field_enum, AT(guest_reset), .words = &reset_table },
        { "source/vendor/@id", &field_hex, AT(vendor), .max = UINT16_MAX, .digits = 4 },
        { "source/product/@id", &field_hex, AT(product), .max = UINT16_MAX, .digits = 4 },
        { "source/address/@bus", &field_number, AT(bus), .min = 1, .max = 999 },
        { "source/address/@device", &field_number, AT(number), .min = 1, .max = 127 },
        { "source/address/@port", &field_string, AT(port), .max_length = 31 },
        { "virtbus:host/@bus", &field_number, AT(found_bus), FIELD_LIVE },
        { "virtbus:host/@device", &field_number, AT(found_number), FIELD_LIVE },
        DEVICE_FIELDS(Hostdev),
};
#undef AT

static const RecordType hostdev_record = { "hostdev", sizeof(Hostdev), RECORD_FIELDS(hostdev_fields), .clear = device_clear, .copied = device_copied };

const Hostdev *device_as_hostdev(const Device *d) {
        return d && device_kind(d) == DEVICE_HOSTDEV ? (const Hostdev *) d : NULL;
}

bool hostdev_is_optional(const Hostdev *h) {
        return h->startup_policy == STARTUP_OPTIONAL;
}

char *hostdev_text(const Hostdev *h) {
        _cleanup_text_ Text t = TEXT_INIT;

        if (h->vendor != NUMBER_UNSET)
                text_addf(&t, "vendor 0x%04" PRIx64 ", product 0x%04" PRIx64, h->vendor, h->product);
        if (h->bus != NUMBER_UNSET)
                text_addf(&t, "%sbus %" PRIu64, h->vendor != NUMBER_UNSET ? " on " : "", h->bus);
        if (h->number != NUMBER_UNSET)
                text_addf(&t, ", device %" PRIu64, h->number);
        if (h->port)
                text_addf(&t, ", port %s", h->port);
        return text_finish(&t);
}

static SlotKind hostdev_slot(const Device *d, const DomainDef *def) {
        return SLOT_USB;
}

static bool is_port_path(const char *s) {
        return s[0] != '.' && s[strlen(s) - 1] != '.' && strspn(s, PORT_CHARS) == strlen(s) && !strstr(s, "..");
}

static int check_source(const Hostdev *h, Fault *f) {
        const Record *r = &h->device.head;

        if ((h->vendor == NUMBER_UNSET) != (h->product == NUMBER_UNSET))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "a <vendor> needs a <product>, and a <product> a <vendor>");
        if (h->bus == NUMBER_UNSET && (h->number != NUMBER_UNSET || h->port))
                return xml_fault_below(r, "source/address", f, FAULT_INVALID_DEFINITION, "the bus is missing");
        if (h->bus != NUMBER_UNSET && h->number == NUMBER_UNSET && !h->port)
                return xml_fault_below(r, "source/address", f, FAULT_INVALID_DEFINITION, "the device or the port is missing");
        if (h->vendor == NUMBER_UNSET && h->bus == NUMBER_UNSET)
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it needs <vendor id='0x…'/> and <product id='0x…'/>, or an <address>");
        if (h->port && !is_port_path(h->port))
                return xml_fault_below(r, "source/address/@port", f, FAULT_INVALID_DEFINITION, "'%s' is no port such as 1 or, behind a hub, 1.2", h->port);
        return 0;
}

static int hostdev_check(const Device *d, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        if (caps && !caps_has_device(caps, "usb-host"))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'usb-host'");
        return check_source((const Hostdev *) d, f);
}

static int add_reset(json_t *json, const Hostdev *h) {
        return h->guest_reset == RESET_UNSET
                       ? 0
                       : json_object_update_new(json, json_pack("{s:b, s:b}", "guest-reset", h->guest_reset != RESET_OFF, "guest-resets-all",
                                                                h->guest_reset == RESET_ON));
}

/* QEMU gets the device's file open: where it runs there are no files of devices. */
static int hostdev_args(const Device *d, Args *a, Fault *f) {
        _cleanup_free_ char *path = NULL;
        json_auto_t *json = NULL;
        unsigned fdset;
        int r = args_fd(a, PLAN_FD_USB, d->id, true, false, true, &fdset);

        if (r < 0)
                return r;
        path = strf("/dev/fdset/%u", fdset);
        json = path ? json_pack("{s:s, s:s, s:s}", "driver", "usb-host", "id", d->id, "hostdevice", path) : NULL;
        if (!json || add_reset(json, (const Hostdev *) d) < 0)
                return -ENOMEM;
        r = args_bootindex(a, d, json);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

const DeviceOps device_hostdev = {
        .kind = DEVICE_HOSTDEV, .element = "hostdev", .type = &hostdev_record,
        .slot = hostdev_slot, .check = hostdev_check, .fixed = device_never_fixed, .args = hostdev_args,
};
