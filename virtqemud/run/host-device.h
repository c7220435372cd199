/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-device.h>

#include "domain.h"
#include "table.h"

/* One device of the host that a guest can get, or that hangs on such a one, as the kernel and udev describe it. */

typedef enum HostKind {
        HOST_PCI,
        HOST_USB,
        HOST_MDEV,
        HOST_SCSI,
        HOST_NET,
        HOST_BLOCK,
        _HOST_KIND_MAX,
        _HOST_KIND_INVALID = -EINVAL,
} HostKind;
DECLARE_ENUM(HostKind, host_kind);

typedef struct HostDevice {
        struct HostDevices *set;       /* that it is in */
        HostKind kind;
        char *name;                    /* libvirt's: "pci_0000_01_00_0"; letters, digits and '_' */
        char *syspath, *sysname;
        char *driver, *node;           /* NULL: none */
        char *vendor, *product;        /* NULL: not known */
        uint32_t vendor_id, product_id, class;
        uint32_t pci[4];               /* domain, bus, slot, function */
        uint32_t usb[2];               /* bus, device */
        int32_t group;                 /* of the IOMMU; -1: none */
        const Domain *owner;           /* the running VM that has it */
} HostDevice;

/* What of it changes while it is there. */
#define HOST_DEVICE_DRIVER 1u
#define HOST_DEVICE_NAMES 2u
#define HOST_DEVICE_GROUP 4u
#define HOST_DEVICE_NODE 8u
#define HOST_DEVICE_OWNER 16u

/* The subsystem that a kind is, for enumerators and monitors. */
const char *host_kind_subsystem(HostKind kind);

/* Reads /sys and udev's data base: some ten small files. -ENODEV: it is of no kind that we know, or has gone. */
int host_device_read(sd_device *device, HostDevice **ret);
HostDevice *host_device_free(HostDevice *d);
DEFINE_CLEANUP(HostDevice *, host_device_free)

/* Takes over what `fresh`, the same device read anew, has; returns what is another one now. */
unsigned host_device_update(HostDevice *d, HostDevice *fresh);

/* Nothing that guests get, and of interest only with what it is a part of. */
static inline bool host_kind_is_part(HostKind kind) {
        return kind == HOST_NET || kind == HOST_BLOCK;
}
