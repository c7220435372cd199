/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-resize.h"

#include <inttypes.h>

#include "../device/disk.h"
#include "../run/instance.h"
#include "qmp-call.h"
#include "str.h"

static const Disk *find_disk(const Domain *d, const char *target) {
        for (size_t i = 0; d->live && i < d->live->devices.n; i++) {
                const Disk *disk = device_as_disk((const Device *) d->live->devices.items[i]);

                if (disk && streq(disk->target, target))
                        return disk;
        }
        return NULL;
}

static int check(const Domain *d, const Disk *disk, const char *target, uint64_t capacity, Fault *f) {
        if (!d->instance || !d->instance->monitor_ready)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: its disks are resized where they are", d->name, domain_state_to_string(d->state));
        if (!disk || !disk_path(disk))
                return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no disk %.32s with an image", d->name, target);
        if (disk->readonly)
                return fault_set(f, FAULT_INVALID_STATE, EROFS, "the disk %s of %s is read-only", target, d->name);
        if (disk->transient)
                return fault_set(f, FAULT_INVALID_STATE, EROFS, "the disk %s of %s is transient: its image stays as it is", target, d->name);
        if (capacity == 0 || capacity > INT64_MAX || capacity % 512 != 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a disk has a multiple of 512 bytes, not %" PRIu64, capacity);
        return 0;
}

int disk_resize(Domain *d, const char *target, uint64_t capacity, sd_bus_message *call, Fault *f) {
        const Disk *disk = find_disk(d, target);
        _cleanup_free_ char *node = NULL;
        int r = check(d, disk, target, capacity, f);

        if (r < 0)
                return r;
        node = blockdev_top_name(disk);
        if (!node)
                return fault_oom(f);
        return qmp_call(d, "block_resize", json_pack("{s:s, s:I}", "node-name", node, "size", (json_int_t) capacity), NULL, call, f);
}
