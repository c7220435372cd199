/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev.h"
#include "interface.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* PCI devices of the host, and mdevs: parts of devices that look like one. */

char *hostdev_pci_text(const Hostdev *h) {
        char uuid[SD_ID128_UUID_STRING_MAX];

        if (h->type == HOSTDEV_MDEV)
                return strdup(sd_id128_to_uuid_string(h->uuid, uuid));
        return strf("%04" PRIx64 ":%02" PRIx64 ":%02" PRIx64 ".%" PRIx64, h->domain == NUMBER_UNSET ? 0 : h->domain, h->bus, h->slot, h->function);
}

static int check_unique(const Hostdev *h, const DomainDef *def, Fault *f) {
        _cleanup_free_ char *text = hostdev_pci_text(h);

        DEVICE_FOREACH(Hostdev, other, def, DEVICE_HOSTDEV) {
                _cleanup_free_ char *theirs = other->type == h->type ? hostdev_pci_text(other) : NULL;

                if (other == h)
                        return 0;
                if (theirs && streq_null(text, theirs))
                        return xml_fault(&h->device.head, f, FAULT_INVALID_DEFINITION, "%s is already the <hostdev> in line %u", theirs,
                                         other->device.head.line);
        }
        return 0;
}

/* The guest keeps its network through the interface that stays while the device is away. */
static int check_teaming(const Hostdev *h, const DomainDef *def, Fault *f) {
        if (!h->teaming && !h->persistent)
                return 0;
        if (h->teaming != TEAMING_TRANSIENT || !h->persistent)
                return xml_fault_below(&h->device.head, "teaming", f, FAULT_INVALID_DEFINITION, "a <hostdev> takes type='transient' persistent='ALIAS'");
        DEVICE_FOREACH(Interface, n, def, DEVICE_INTERFACE)
                if (streq_null(n->device.alias, h->persistent) || streq_null(n->device.id, h->persistent)) {
                        return n->teaming == TEAMING_PERSISTENT ? 0 : xml_fault_below(&h->device.head, "teaming", f, FAULT_INVALID_DEFINITION,
                                                                                      "the interface %s has no <teaming type='persistent'/>", h->persistent);
                }
        return xml_fault_below(&h->device.head, "teaming/@persistent", f, FAULT_INVALID_DEFINITION, "there is no interface %s", h->persistent);
}

static const char *driver_of(const Hostdev *h) {
        return h->ramfb == YES ? "vfio-pci-nohotplug" : "vfio-pci";
}

int hostdev_pci_check(const Hostdev *h, const DomainDef *def, const QemuCaps *caps, Fault *f) {
        const Record *r = &h->device.head;

        if (h->type == HOSTDEV_PCI && (h->bus == NUMBER_UNSET || h->slot == NUMBER_UNSET || h->function == NUMBER_UNSET))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it needs <address domain='0x0000' bus='0x…' slot='0x…' function='0x…'/>");
        if (h->type == HOSTDEV_MDEV && sd_id128_is_null(h->uuid))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it needs <address uuid='…'/>");
        if (h->type == HOSTDEV_MDEV && h->managed == YES)
                return xml_fault_below(r, "@managed", f, FAULT_INVALID_DEFINITION, "an mdev has its driver already");
        if (h->ramfb == YES && h->display != YES)
                return xml_fault_below(r, "@ramfb", f, FAULT_INVALID_DEFINITION, "ramfb needs display='on'");
        if (check_teaming(h, def, f) < 0)
                return -EINVAL;
        if (caps && !caps_has_device(caps, driver_of(h)))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no device '%s'", driver_of(h));
        return check_unique(h, def, f);
}

/* QEMU only holds the connection to who gives the device back when it has gone. */
int hostdev_pci_args(const Hostdev *h, Args *a, Fault *f) {
        const Device *d = &h->device;
        _cleanup_free_ char *text = hostdev_pci_text(h), *folder = text ? strf("/sys/bus/mdev/devices/%s", text) : NULL;
        json_auto_t *json = NULL;
        unsigned fdset;
        int r = folder ? args_fd(a, PLAN_FD_COMPANION, d->id, true, false, true, &fdset) : -ENOMEM;

        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s}", "driver", driver_of(h), "id", d->id);
        if (!json || json_set_text(json, h->type == HOSTDEV_MDEV ? "sysfsdev" : "host", h->type == HOSTDEV_MDEV ? folder : text) < 0)
                return -ENOMEM;
        if (h->type == HOSTDEV_MDEV && json_set_text(json, "display", h->display == YES ? "on" : "off") < 0)
                return -ENOMEM;
        if (h->ramfb == YES && json_object_set_new(json, "ramfb", json_true()) < 0)
                return -ENOMEM;
        r = rom_args(&h->rom, a, json);
        if (r < 0)
                return r;
        if (json_set_text(json, "failover_pair_id", h->persistent) < 0)
                return -ENOMEM;
        r = args_bootindex(a, d, json);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

int hostdev_pci_companion(const Hostdev *h, Companion *ret) {
        _cleanup_free_ char *text = hostdev_pci_text(h);

        return text ? companion_vfio(ret, h->type == HOSTDEV_MDEV ? "mdev" : "pci", text, h->managed == YES) : -ENOMEM;
}
