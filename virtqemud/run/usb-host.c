/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usb-host.h"

#include <fcntl.h>
#include <systemd/sd-device.h>

#include "fd.h"
#include "log.h"
#include "manager.h"
#include "registry.h"
#include "str.h"
#include "usb-return.h"
#include "xml-read.h"

#define _cleanup_enumerator_ _cleanup_(sd_device_enumerator_unrefp)
#define _cleanup_device_ _cleanup_(sd_device_unrefp)

/* --- what the host has --- */

static int number_of(sd_device *device, const char *attribute, int base, uint64_t *ret) {
        const char *text;
        char *end;

        if (sd_device_get_sysattr_value(device, attribute, &text) < 0)
                return -ENOENT;
        *ret = strtoull(text, &end, base);
        return end == text ? -EINVAL : 0;
}

static bool has_number(sd_device *device, const char *attribute, int base, uint64_t wanted) {
        uint64_t value;

        return wanted == NUMBER_UNSET || (number_of(device, attribute, base, &value) >= 0 && value == wanted);
}

/* The kernel's name of a device is BUS-PORT. */
static bool has_port(sd_device *device, const char *wanted) {
        const char *name, *dash;

        return !wanted || (sd_device_get_sysname(device, &name) >= 0 && (dash = strchr(name, '-')) && streq(dash + 1, wanted));
}

static bool is_meant(sd_device *device, const Hostdev *h) {
        return has_number(device, "idVendor", 16, h->vendor) && has_number(device, "idProduct", 16, h->product) && has_number(device, "busnum", 10, h->bus) &&
               has_number(device, "devnum", 10, h->number) && has_port(device, h->port);
}

static int list_devices(const char *property, const char *value, sd_device *parent, sd_device_enumerator **ret) {
        _cleanup_enumerator_ sd_device_enumerator *e = NULL;
        int r = sd_device_enumerator_new(&e);

        if (r >= 0)
                r = sd_device_enumerator_allow_uninitialized(e);
        if (r >= 0)
                r = sd_device_enumerator_add_match_subsystem(e, "usb", true);
        if (r >= 0)
                r = sd_device_enumerator_add_match_property(e, property, value);
        if (r >= 0 && parent)
                r = sd_device_enumerator_add_match_parent(e, parent);
        if (r >= 0)
                *ret = TAKE_PTR(e);
        return r;
}

static void add_place(Text *t, sd_device *device) {
        const char *name = "?", *dash;
        uint64_t bus = 0;

        (void) sd_device_get_sysname(device, &name);
        (void) number_of(device, "busnum", 10, &bus);
        dash = strchr(name, '-');
        text_addf(t, "%sbus %" PRIu64 " port %s", t->length > 0 ? ", " : "", bus, dash ? dash + 1 : name);
}

/* 0 and NULL: there is none. */
static int find_device(const Hostdev *h, sd_device **ret, Fault *f) {
        _cleanup_enumerator_ sd_device_enumerator *e = NULL;
        _cleanup_device_ sd_device *found = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_text_ Text places = TEXT_INIT;
        unsigned n = 0;
        int r = list_devices("DEVTYPE", "usb_device", NULL, &e);

        if (r < 0)
                return fault_set(f, FAULT_NO_SUCH_DEVICE, -r, "the USB devices of the host can't be listed: %s", strerror(-r));
        for (sd_device *d = sd_device_enumerator_get_device_first(e); d; d = sd_device_enumerator_get_device_next(e)) {
                if (!is_meant(d, h))
                        continue;
                add_place(&places, d);
                if (n++ == 0)
                        found = sd_device_ref(d);
        }
        if (n > 1) {
                text = text_finish(&places);
                xml_fault_below(&h->device.head, "source", f, FAULT_INVALID_DEFINITION, "the host has %u such USB devices: %s", n, text ?: "?");
                fault_hint(f, "say which one: <address bus='…' port='…'/>");
                return -f->error;
        }
        *ret = TAKE_PTR(found);
        return 0;
}

bool usb_host_is_there(const Hostdev *h) {
        _cleanup_enumerator_ sd_device_enumerator *e = NULL;
        bool found = h->found_bus != NUMBER_UNSET, there = false;

        if (list_devices("DEVTYPE", "usb_device", NULL, &e) < 0)
                return found;
        for (sd_device *d = sd_device_enumerator_get_device_first(e); d && !there; d = sd_device_enumerator_get_device_next(e))
                there = found ? has_number(d, "busnum", 10, h->found_bus) && has_number(d, "devnum", 10, h->found_number) : is_meant(d, h);
        return there;
}

/* --- who has it --- */

static bool is_found(const Hostdev *h, const Hostdev *other) {
        return other && other != h && other->type == HOSTDEV_USB && other->found_bus == h->found_bus && other->found_number == h->found_number;
}

static bool has_found(const DomainDef *def, const Hostdev *h) {
        for (size_t i = 0; def && i < def->devices.n; i++)
                if (is_found(h, device_as_hostdev((const Device *) def->devices.items[i])))
                        return true;
        return false;
}

/* Drivers of the kernel make room for a VM; another program does not. */
static bool is_claimed(sd_device *device) {
        _cleanup_enumerator_ sd_device_enumerator *e = NULL;
        const char *driver;

        if (list_devices("DEVTYPE", "usb_interface", device, &e) < 0)
                return false;
        for (sd_device *i = sd_device_enumerator_get_device_first(e); i; i = sd_device_enumerator_get_device_next(e))
                if (sd_device_get_driver(i, &driver) >= 0 && streq(driver, "usbfs"))
                        return true;
        return false;
}

static int check_free(const Domain *domain, const DomainDef *live, const Hostdev *h, sd_device *device, Fault *f) {
        _cleanup_free_ char *text = hostdev_text(h);

        if (has_found(live, h))
                return xml_fault(&h->device.head, f, FAULT_INVALID_DEFINITION, "another <hostdev> of the definition means the same device");
        REGISTRY_FOREACH(Domain, d, domain->manager->domains)
                if (has_found(d->live, h))
                        return fault_set(f, FAULT_IN_USE, EBUSY, "the USB device with %s is %s's", text ?: "?", d->name);
        if (!is_claimed(device))
                return 0;
        fault_set(f, FAULT_IN_USE, EBUSY, "the USB device with %s is used by a program of the host", text ?: "?");
        fault_hint(f, "end that program; fuser /dev/bus/usb/%03" PRIu64 "/%03" PRIu64 " names it", h->found_bus, h->found_number);
        return -EBUSY;
}

/* --- the whole --- */

/* 1: there is none, and that is no fault. */
static int find_one(const Domain *domain, DomainDef *live, Hostdev *h, bool at_start, Fault *f) {
        _cleanup_device_ sd_device *device = NULL;
        _cleanup_free_ char *text = hostdev_text(h);
        int r = find_device(h, &device, f);

        if (r < 0)
                return r;
        if (!device && at_start && hostdev_is_optional(h)) {
                log_notice("%s starts without the USB device with %s, and gets it when the host has one", domain->name, text ?: "?");
                r = domain->instance ? usb_return_await(domain->instance, h) : 0;
                return r < 0 ? fault_oom(f) : 1;
        }
        if (!device) {
                xml_fault_below(&h->device.head, "source", f, FAULT_NO_SUCH_DEVICE, "the host has no USB device with %s", text ?: "?");
                fault_hint(f, "lsusb lists what it has; with startupPolicy='optional' the VM starts without it");
                return -ENODEV;
        }
        if (number_of(device, "busnum", 10, &h->found_bus) < 0 || number_of(device, "devnum", 10, &h->found_number) < 0)
                return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "the USB device with %s has just gone", text ?: "?");
        return check_free(domain, live, h, device, f);
}

int usb_hosts_find(const Domain *d, DomainDef *live, bool at_start, Fault *f) {
        assert(d && live);

        for (size_t i = 0; i < live->devices.n;) {
                Hostdev *h = (Hostdev *) device_as_hostdev((const Device *) live->devices.items[i]);
                int r = h && h->type == HOSTDEV_USB ? find_one(d, live, h, at_start, f) : 0;

                if (r < 0)
                        return r;
                if (r > 0)
                        record_free(record_list_take(&live->devices, i));
                else
                        i++;
        }
        return 0;
}

int usb_host_open(const Hostdev *h, Fault *f) {
        _cleanup_free_ char *path = strf("/dev/bus/usb/%03" PRIu64 "/%03" PRIu64, h->found_bus, h->found_number);
        int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY) : -1;

        if (!path)
                return fault_oom(f);
        if (fd >= 0)
                return fd;
        fault_set(f, errno == ENOENT ? FAULT_NO_SUCH_DEVICE : FAULT_ACCESS_DENIED, errno, "the USB device %s can't be opened: %m", path);
        if (f->error == EACCES)
                fault_hint(f, "a rule of udev can give it to you: ENV{ID_VENDOR_ID}==\"…\", TAG+=\"uaccess\"");
        return -f->error;
}
