/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-resize.h"

#include <inttypes.h>

#include "../device/disk.h"
#include "../run/instance.h"
#include "bus-error.h"
#include "str.h"

static const Disk *find_disk(const Domain *d, const char *target) {
        for (size_t i = 0; d->live && i < d->live->devices.n; i++) {
                const Disk *disk = device_as_disk((const Device *) d->live->devices.items[i]);

                if (disk && streq(disk->target, target))
                        return disk;
        }
        return NULL;
}

static void on_resized(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = userdata;

        if (why)
                (void) bus_reply_fault(call, why, -why->error);
        else
                (void) sd_bus_reply_method_return(call, NULL);
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
        r = qmp_send(d->instance->qmp, "block_resize", json_pack("{s:s, s:I}", "node-name", node, "size", (json_int_t) capacity), 0, on_resized,
                     sd_bus_message_ref(call), NULL);
        if (r >= 0)
                return 0;
        sd_bus_message_unref(call);
        return fault_set(f, FAULT_QEMU, -r, "QEMU of %s can't be asked: %s", d->name, strerror(-r));
}
