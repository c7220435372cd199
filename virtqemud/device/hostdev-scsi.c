/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hostdev.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* SCSI devices of the host, whose commands are the guest's; and targets that the kernel serves to guests by itself (vhost). */

#define VHOST_SCSI "/dev/vhost-scsi"
#define WWPN_PREFIX "naa."
#define WWPN_DIGITS 16u

/* "scsi_host2": the number; the kernel's name of a device is HOST:BUS:TARGET:UNIT. */
char *hostdev_scsi_text(const Hostdev *h) {
        if (h->type == HOSTDEV_SCSI_HOST)
                return strdup(h->wwpn);
        return strf("%s:%" PRIu64 ":%" PRIu64 ":%" PRIu64, str_after(h->adapter, "scsi_host") ?: "?", h->bus, h->target, h->unit);
}

static int check_vhost(const Hostdev *h, const QemuCaps *caps, Fault *f) {
        const Record *r = &h->device.head;
        const char *digits = h->wwpn ? str_after(h->wwpn, WWPN_PREFIX) : NULL;

        if (h->protocol == 0 || !digits || strlen(digits) != WWPN_DIGITS || strspn(digits, "0123456789abcdefABCDEF") != WWPN_DIGITS)
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it needs protocol='vhost' wwpn='naa.' and 16 hexadecimal digits");
        if (caps && !caps_has_device(caps, "vhost-scsi-pci"))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'vhost-scsi-pci'");
        return 0;
}

int hostdev_scsi_check(const Hostdev *h, const QemuCaps *caps, Fault *f) {
        const Record *r = &h->device.head;
        const char *number = h->adapter ? str_after(h->adapter, "scsi_host") : NULL;
        uint64_t n;

        if (h->type == HOSTDEV_SCSI_HOST)
                return check_vhost(h, caps, f);
        if (h->protocol)
                return xml_fault_below(r, "source/@protocol", f, FAULT_NOT_SUPPORTED, "devices of servers are not passed through: <disk type='network'>");
        if (!number || parse_u64(number, 10, &n) < 0)
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it needs <adapter name='scsi_host0'/>, with the host's number");
        if (h->bus == NUMBER_UNSET || h->target == NUMBER_UNSET || h->unit == NUMBER_UNSET)
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "it needs <address bus='0' target='…' unit='…'/>");
        if (h->sgio == SGIO_UNFILTERED || h->raw_io == YES)
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "all commands are a right of root, which QEMU has not: the kernel's filter stays");
        if (caps && !caps_has_device(caps, "scsi-generic"))
                return xml_fault(r, f, FAULT_NOT_SUPPORTED, "this QEMU has no device 'scsi-generic'");
        return 0;
}

static int vhost_args(const Hostdev *h, Args *a, Fault *f) {
        const Device *d = &h->device;
        const char *driver = virtio_driver("vhost-scsi", h->model == HOSTDEV_TRANSITIONAL, h->model == HOSTDEV_NON_TRANSITIONAL);
        json_auto_t *json = json_pack("{s:s, s:s, s:s}", "driver", driver, "id", d->id, "wwpn", h->wwpn);
        int r = json ? args_bootindex(a, d, json) : -ENOMEM;

        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

/* QEMU opens the files by itself: the program beside it sees to it that it may. */
int hostdev_scsi_args(const Hostdev *h, Args *a, Fault *f) {
        const Device *d = &h->device;
        _cleanup_free_ char *node = strf("%s-backend", d->id);
        json_auto_t *json = NULL;
        unsigned fdset;
        int r = node ? args_fd(a, PLAN_FD_COMPANION, d->id, true, false, true, &fdset) : -ENOMEM;

        if (r < 0)
                return r;
        if (h->type == HOSTDEV_SCSI_HOST)
                return vhost_args(h, a, f);
        r = args_json(a, ARG_BLOCKDEV, json_pack("{s:s, s:s, s:s, s:b}", "driver", "host_device", "filename", h->found_path ?: "/dev/sg?", "node-name", node,
                                                 "read-only", (int) h->readonly));
        if (r < 0)
                return r;
        json = json_pack("{s:s, s:s, s:s}", "driver", "scsi-generic", "id", d->id, "drive", node);
        if (!json || json_set_switch(json, "share-rw", h->shareable ? YES : UNSET) < 0)
                return -ENOMEM;
        r = args_bootindex(a, d, json);
        if (r >= 0)
                r = args_address(a, d, json, f);
        return r < 0 ? r : args_json(a, ARG_DEVICE, TAKE_PTR(json));
}

int hostdev_scsi_companion(const Hostdev *h, Companion *ret) {
        return companion_hostdev(ret, "file", h->type == HOSTDEV_SCSI_HOST ? VHOST_SCSI : h->found_path ?: "/dev/sg?", false);
}
