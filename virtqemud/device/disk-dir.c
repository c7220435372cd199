/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* <disk type='dir'>: a folder of the host, which the guest sees as a FAT file system with what was in it at the start. QEMU opens no folders:
 * qemu-nbd reads it. */

int disk_dir_check(const Disk *d, Fault *f) {
        const Record *r = &d->device.head;

        if (!d->folder || d->folder[0] != '/')
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "type 'dir' needs the absolute path of a folder: <source dir='/…'/>");
        if (!d->readonly) {
                xml_fault_below(r, "source/@dir", f, FAULT_NOT_SUPPORTED, "what the guest writes does not come into the folder: add <readonly/>");
                fault_hint(f, "<filesystem> with <driver type='virtiofs'/> shares a folder to be written");
                return -EOPNOTSUPP;
        }
        return 0;
}

int disk_dir_companion(const Disk *d, Companion *ret) {
        bool floppy = d->what == DISK_FLOPPY;
        json_t *json = json_pack("{s:s, s:s, s:b, s:i}", "driver", "vvfat", "dir", d->folder, "floppy", (int) floppy, "fat-type", floppy ? 12 : 16);
        int r = disk_nbd_companion(json, false, ret);

        ret->title = "Folder as a Disk";
        ret->has_network = false;
        return r < 0 ? r : companion_show(ret, d->folder, d->folder);
}
