/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scsi-host.h"

#include <systemd/sd-device.h>

#include "../device/hostdev.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

#define _cleanup_enumerator_ _cleanup_(sd_device_enumerator_unrefp)
#define _cleanup_device_ _cleanup_(sd_device_unrefp)

/* Commands go through the device of the driver sg, which stands beside that of the disk, tape or changer. */
static int find_generic(const char *name, char **ret) {
        _cleanup_enumerator_ sd_device_enumerator *e = NULL;
        _cleanup_device_ sd_device *parent = NULL;
        sd_device *generic;
        const char *path;
        int r = sd_device_new_from_subsystem_sysname(&parent, "scsi", name);

        if (r >= 0)
                r = sd_device_enumerator_new(&e);
        if (r >= 0)
                r = sd_device_enumerator_allow_uninitialized(e);
        if (r >= 0)
                r = sd_device_enumerator_add_match_subsystem(e, "scsi_generic", true);
        if (r >= 0)
                r = sd_device_enumerator_add_match_parent(e, parent);
        if (r < 0)
                return r;
        generic = sd_device_enumerator_get_device_first(e);
        r = generic ? sd_device_get_devname(generic, &path) : -ENOENT;
        return r < 0 ? r : free_and_strdup(ret, path);
}

static int find_one(Hostdev *h, Fault *f) {
        _cleanup_free_ char *name = hostdev_text(h);
        int r = name ? find_generic(name, &h->found_path) : -ENOMEM;

        if (r >= 0)
                return 0;
        if (r == -ENOMEM)
                return fault_oom(f);
        xml_fault_below(&h->device.head, "source", f, FAULT_NO_SUCH_DEVICE, "the host has no SCSI device %s that takes commands", name);
        fault_hint(f, "lsscsi -g lists them; the kernel's module for commands is sg");
        return -f->error;
}

int scsi_hosts_find(DomainDef *live, Fault *f) {
        int r = 0;

        assert(live);

        for (size_t i = 0; i < live->devices.n && r >= 0; i++) {
                Hostdev *h = (Hostdev *) device_as_hostdev((const Device *) live->devices.items[i]);

                r = h && h->type == HOSTDEV_SCSI ? find_one(h, f) : 0;
        }
        return r;
}
