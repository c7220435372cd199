/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"
#include "rom.h"

/* <hostdev>: a device of the host that the guest gets for itself.
 *
 * USB devices are told by what they are (vendor and product), by where they are plugged in (bus and port), by the number they have until they
 * are plugged out (bus and device), or by several of these; virtqemud opens them. PCI devices, and parts of devices that their driver makes
 * (mdev), go through the kernel's VFIO; virtqemu-hostdev stands beside QEMU, and gives them back to the host when QEMU lets go of them. */

typedef enum HostdevType { HOSTDEV_NONE, HOSTDEV_USB, HOSTDEV_PCI, HOSTDEV_MDEV, HOSTDEV_SCSI, HOSTDEV_SCSI_HOST } HostdevType;
typedef enum HostdevModel { HOSTDEV_MODEL_UNSET, HOSTDEV_VFIO_PCI, HOSTDEV_TRANSITIONAL, HOSTDEV_NON_TRANSITIONAL } HostdevModel;

typedef struct Hostdev {
        Device device;
        int mode, type;                /* HostdevType */
        Tristate managed;
        int startup_policy, guest_reset;
        uint64_t vendor, product;      /* both or none are NUMBER_UNSET */
        char *domain_text, *bus_text;  /* as written: of a PCI device in hexadecimal, */
        uint64_t domain, bus;          /* and what that means; NUMBER_UNSET: unsaid */
        uint64_t number;
        char *port;                    /* "1.2": port 2 of the hub at port 1 */
        uint64_t slot, function;
        sd_id128_t uuid;               /* of an mdev */
        char *adapter, *wwpn;          /* SCSI: "scsi_host2"; vhost: of the target */
        uint64_t target, unit;         /* SCSI */
        int protocol, sgio;
        Tristate raw_io;
        bool readonly, shareable;
        char *found_path;              /* live: the device file that takes SCSI commands */
        int driver, model, teaming;    /* HostdevModel */
        char *persistent;              /* teaming: the alias of the interface that stands in */
        Rom rom;
        Tristate display, ramfb, write_filtering;
        uint64_t found_bus, found_number; /* live: which USB device it was when it was opened */
} Hostdev;

/* NULL if it is something else. */
const Hostdev *device_as_hostdev(const Device *d);
/* The machine can be started without it. */
bool hostdev_is_optional(const Hostdev *h);
/* "vendor 0x046d, product 0xc52b on bus 1, port 1.2", "0000:01:00.0", a UUID; new string. NULL: out of memory. */
char *hostdev_text(const Hostdev *h);

/* From hostdev-usb.c, hostdev-pci.c and hostdev-scsi.c: what differs between the types. */
int hostdev_usb_check(const Hostdev *h, const QemuCaps *caps, Fault *f);
int hostdev_usb_args(const Hostdev *h, Args *a, Fault *f);
char *hostdev_usb_text(const Hostdev *h);
extern const EnumTable hostdev_reset_table;
int hostdev_pci_check(const Hostdev *h, const DomainDef *def, const QemuCaps *caps, Fault *f);
int hostdev_pci_args(const Hostdev *h, Args *a, Fault *f);
char *hostdev_pci_text(const Hostdev *h);
int hostdev_pci_companion(const Hostdev *h, Companion *ret);
int hostdev_scsi_check(const Hostdev *h, const QemuCaps *caps, Fault *f);
int hostdev_scsi_args(const Hostdev *h, Args *a, Fault *f);
char *hostdev_scsi_text(const Hostdev *h);
int hostdev_scsi_companion(const Hostdev *h, Companion *ret);
