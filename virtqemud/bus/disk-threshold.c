/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-threshold.h"

#include <inttypes.h>

#include "../run/instance.h"
#include "qmp-call.h"
#include "str.h"

/* The file or device itself is watched, not what is in its format: that is what has to be made larger. */
int disk_set_threshold(Domain *d, const Disk *disk, uint64_t bytes, sd_bus_message *call, Fault *f) {
        _cleanup_free_ char *node = NULL;

        assert(d);

        if (!d->instance || !d->instance->monitor_ready)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: nothing is written", d->name, domain_state_to_string(d->state));
        if (!disk || !disk_path(disk) || disk->transient)
                return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no image there that grows", d->name);
        if (bytes > INT64_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, ERANGE, "no image has %" PRIu64 " bytes", bytes);
        node = blockdev_name(disk, 0, "storage");
        if (!node)
                return fault_oom(f);
        return qmp_call(d, "block-set-write-threshold", json_pack("{s:s, s:I}", "node-name", node, "write-threshold", (json_int_t) bytes), NULL, call, f);
}
