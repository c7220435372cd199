/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <disk type='nvme'>: QEMU drives the controller by itself, through the kernel's VFIO, so that all of it is this VM's; the program beside QEMU
 * takes it from the host's driver and gives it back. */

int disk_nvme_check(const Disk *d, const DomainDef *def, Fault *f) {
        const Record *r = &d->device.head;

        if (!d->pci || d->name_space == NUMBER_UNSET)
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "type 'nvme' needs "
                                       "<source type='pci' namespace='1'><address domain='0x0000' bus='0x…' slot='0x…' function='0x…'/></source>");
        if (d->what != DISK_DISK)
                return xml_fault_below(r, "@device", f, FAULT_INVALID_DEFINITION, "type 'nvme' is a disk");
        DEVICE_FOREACH(Disk, other, def, DEVICE_DISK) {
                _cleanup_free_ char *theirs = other->pci ? host_pci_text(other->pci) : NULL, *ours = host_pci_text(d->pci);

                if (other == d)
                        return 0;
                if (ours && streq_null(theirs, ours))
                        return xml_fault(r, f, FAULT_INVALID_DEFINITION,
                                         "the controller %s is already that of the disk in line %u: one disk is all that QEMU makes of it", ours,
                                         other->device.head.line);
        }
        return 0;
}

char *disk_nvme_claim(const Disk *d) {
        return host_pci_text(d->pci);
}

int disk_nvme_companion(const Disk *d, Companion *ret) {
        _cleanup_free_ char *text = host_pci_text(d->pci);

        return text ? companion_vfio(ret, "pci", text, d->managed == YES) : -ENOMEM;
}

/* QEMU only holds the connection to who gives the controller back. */
json_t *disk_nvme_node(const Disk *d, Args *a) {
        _cleanup_free_ char *text = host_pci_text(d->pci);
        unsigned fdset;

        if (!text || args_fd(a, PLAN_FD_COMPANION, d->device.id, true, false, true, &fdset) < 0)
                return NULL;
        return json_pack("{s:s, s:s, s:I}", "driver", "nvme", "device", text, "namespace", (json_int_t) d->name_space);
}
