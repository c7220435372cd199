/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* USB devices of the host. */

#define PORT_CHARS "0123456789."

typedef enum GuestReset { RESET_UNSET, RESET_OFF, RESET_UNINITIALIZED, RESET_ON } GuestReset;
static const char *const reset_words[] = { NULL, "off", "uninitialized", "on" };
const EnumTable hostdev_reset_table = { reset_words, ARRAY_SIZE(reset_words) };

bool hostdev_is_optional(const Hostdev *h) {
        return h->startup_policy == STARTUP_OPTIONAL;
}

char *hostdev_usb_text(const Hostdev *h) {
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

int hostdev_usb_check(const Hostdev *h, const QemuCaps *caps, Fault *f) {
        if (caps && !caps_has_device(caps, "usb-host"))
                return xml_fault(&h->device.head, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'usb-host'");
        return check_source(h, f);
}

static int add_reset(json_t *json, const Hostdev *h) {
        return h->guest_reset == RESET_UNSET
                       ? 0
                       : json_object_update_new(json, json_pack("{s:b, s:b}", "guest-reset", h->guest_reset != RESET_OFF, "guest-resets-all",
                                                                h->guest_reset == RESET_ON));
}

/* QEMU gets the device's file open: where it runs there are no files of devices. */
int hostdev_usb_args(const Hostdev *h, Args *a, Fault *f) {
        const Device *d = &h->device;
        _cleanup_free_ char *path = NULL;
        json_auto_t *json = NULL;
        unsigned fdset;
        int r = args_fd(a, PLAN_FD_USB, d->id, true, false, true, &fdset);

        if (r < 0)
                return r;
        path = strf("/dev/fdset/%u", fdset);
        json = path ? json_pack("{s:s, s:s, s:s}", "driver", "usb-host", "id", d->id, "hostdevice", path) : NULL;
        if (!json || add_reset(json, h) < 0)
                return -ENOMEM;
        r = args_bootindex(a, d, json);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}
