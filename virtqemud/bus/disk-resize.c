/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk-resize.h"

#include <inttypes.h>

#include "../device/disk.h"
#include "../run/instance.h"
#include "../run/manager.h"
#include "bus-error.h"
#include "mem.h"
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

/* --- its size now: what is beyond a new end would be lost --- */

typedef struct SizeQuestion {
        Manager *manager;
        sd_id128_t uuid;
        char *target, *node;
        uint64_t capacity;
        sd_bus_message *call;
} SizeQuestion;

static SizeQuestion *size_question_free(SizeQuestion *q) {
        if (!q)
                return NULL;
        sd_bus_message_unref(q->call);
        free(q->target);
        free(q->node);
        free(q);
        return NULL;
}
DEFINE_CLEANUP(SizeQuestion *, size_question_free)

static int tell_qemu(const Domain *d, const char *node, uint64_t capacity, sd_bus_message *call, Fault *f) {
        return qmp_call(d, "block_resize", json_pack("{s:s, s:I}", "node-name", node, "size", (json_int_t) capacity), NULL, call, f);
}

/* 0: QEMU does not say. */
static uint64_t size_in(const json_t *nodes, const char *name) {
        const json_t *node;
        size_t i;

        json_array_foreach(nodes, i, node)
                if (streq_null(json_string_value(json_object_get(node, "node-name")), name))
                        return (uint64_t) json_integer_value(json_object_get(json_object_get(node, "image"), "virtual-size"));
        return 0;
}

static int resize_if_larger(const SizeQuestion *q, const json_t *nodes, Fault *f) {
        const Domain *d = manager_find_uuid(q->manager, q->uuid);
        uint64_t now = size_in(nodes, q->node);

        if (!d)
                return fault_set(f, FAULT_NO_SUCH_DOMAIN, ENOENT, "the domain has gone meanwhile");
        if (q->capacity < now) {
                fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the disk %s of %s has %" PRIu64 " bytes: what is beyond %" PRIu64 " would be lost", q->target,
                          d->name, now, q->capacity);
                fault_hint(f, "with force it is made smaller all the same");
                return -EINVAL;
        }
        return tell_qemu(d, q->node, q->capacity, q->call, f);
}

static void on_nodes(Qmp *qmp, json_t *result, const Fault *why, void *userdata) {
        _cleanup_(size_question_freep) SizeQuestion *q = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = why ? -why->error : resize_if_larger(q, result, &f);

        if (r < 0)
                (void) bus_reply_fault(q->call, why ?: &f, r);
}

static int ask_size(Domain *d, const char *target, char *node, uint64_t capacity, sd_bus_message *call, Fault *f) {
        _cleanup_(size_question_freep) SizeQuestion *q = new0(SizeQuestion, 1);
        int r;

        if (!q || !(q->target = strdup(target)) || !(q->node = strdup(node)))
                return fault_oom(f);
        q->manager = d->manager;
        q->uuid = d->uuid;
        q->capacity = capacity;
        q->call = sd_bus_message_ref(call);
        r = qmp_send_always(d->instance->qmp, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), 0, on_nodes, q);
        if (r < 0)
                return fault_set(f, FAULT_QEMU, -r, "QEMU of %s can't be asked: %s", d->name, strerror(-r));
        TAKE_PTR(q);
        return 0;
}

int disk_resize(Domain *d, const char *target, uint64_t capacity, bool shrink, sd_bus_message *call, Fault *f) {
        const Disk *disk = find_disk(d, target);
        _cleanup_free_ char *node = NULL;
        int r = check(d, disk, target, capacity, f);

        if (r < 0)
                return r;
        node = blockdev_top_name(disk);
        if (!node)
                return fault_oom(f);
        return shrink ? tell_qemu(d, node, capacity, call, f) : ask_size(d, target, node, capacity, call, f);
}
