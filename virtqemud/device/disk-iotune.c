/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include "mem.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* <iotune>: how much a disk may do, kept by QEMU's throttle groups, whose limits change while the guest runs. */

static const struct {
        const char *name, *key;
        size_t offset;
} limits[] = {
#define IO_LIMIT(name, key) { #name, (key), offsetof(IoTune, name) },
#include "io-limits.h"
#undef IO_LIMIT
};

static uint64_t limit_of(const IoTune *t, size_t i) {
        return *(const uint64_t *) ((const char *) t + limits[i].offset);
}

static bool is_limit(uint64_t value) {
        return value != NUMBER_UNSET && value != 0; /* 0 is how people say that there is none */
}

bool iotune_any(const IoTune *t) {
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (is_limit(limit_of(t, i)))
                        return true;
        return t->group != NULL;
}

static const char *const parts[][3] = {
        { "total_bytes_sec", "read_bytes_sec", "write_bytes_sec" }, { "total_iops_sec", "read_iops_sec", "write_iops_sec" },
        { "total_bytes_sec_max", "read_bytes_sec_max", "write_bytes_sec_max" }, { "total_iops_sec_max", "read_iops_sec_max", "write_iops_sec_max" },
};

static uint64_t limit_by_name(const IoTune *t, const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (streq(limits[i].name, name))
                        return limit_of(t, i);
        return NUMBER_UNSET;
}

static int check_bursts(const Disk *d, Fault *f) {
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                const char *end = strstr(limits[i].name, "_max");
                _cleanup_free_ char *base = end ? strndup(limits[i].name, (size_t) (end - limits[i].name)) : NULL;

                if (!end || !is_limit(limit_of(&d->tune, i)))
                        continue;
                if (!base)
                        return fault_oom(f);
                if (!is_limit(limit_by_name(&d->tune, base)))
                        return xml_fault_below(&d->device.head, "iotune", f, FAULT_INVALID_DEFINITION, "%s needs a %s", limits[i].name, base);
        }
        return 0;
}

static bool is_same_limits(const IoTune *a, const IoTune *b) {
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (limit_of(a, i) != limit_of(b, i))
                        return false;
        return true;
}

/* The disk whose limits a group has: the first one of it. */
static const Disk *first_of_group(const Disk *d, const DomainDef *def) {
        DEVICE_FOREACH(Disk, other, def, DEVICE_DISK)
                if (other == d || (d->tune.group && streq_null(other->tune.group, d->tune.group)))
                        return other;
        return d;
}

int iotune_check(const Disk *d, const DomainDef *def, Fault *f) {
        const Disk *first = first_of_group(d, def);

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                if (is_limit(limit_by_name(&d->tune, parts[i][0])) &&
                    (is_limit(limit_by_name(&d->tune, parts[i][1])) || is_limit(limit_by_name(&d->tune, parts[i][2]))))
                        return xml_fault_below(&d->device.head, "iotune", f, FAULT_INVALID_DEFINITION, "either %s, or %s and %s", parts[i][0], parts[i][1],
                                               parts[i][2]);
        if (first != d && !is_same_limits(&first->tune, &d->tune))
                return xml_fault_below(&d->device.head, "iotune/group_name", f, FAULT_INVALID_DEFINITION,
                                       "the disk %s of this group has other limits, which are shared", first->target);
        return check_bursts(d, f);
}

static char *group_id(const Disk *d) {
        return d->tune.group ? strf("throttle-group-%s", d->tune.group) : strf("throttle-%s", d->device.id);
}

/* All of them: those that are not said are none. */
static json_t *limits_of(const IoTune *t) {
        json_t *json = json_object();

        for (size_t i = 0; i < ARRAY_SIZE(limits) && json; i++) {
                uint64_t value = limit_of(t, i);

                if (is_limit(value) && json_set_number(json, limits[i].key, value) < 0) {
                        json_decref(json);
                        return NULL;
                }
        }
        return json;
}

int iotune_args(const Disk *d, const char *below, Args *a) {
        _cleanup_free_ char *id = group_id(d), *name = blockdev_top_name(d);
        int r = 0;

        if (!iotune_any(&d->tune))
                return 0;
        if (!id || !name)
                return -ENOMEM;
        if (first_of_group(d, a->def) == d)
                r = args_json(a, ARG_OBJECT, json_pack("{s:s, s:s, s:o*}", "qom-type", "throttle-group", "id", id, "limits", limits_of(&d->tune)));
        return r < 0 ? r : args_json(a, ARG_BLOCKDEV, json_pack("{s:s, s:s, s:s, s:s}", "driver", "throttle", "node-name", name, "throttle-group", id,
                                                                "file", below));
}

static json_t *set_limits(const char *path, const IoTune *t) {
        return json_pack("{s:s, s:s, s:o*}", "path", path, "property", "limits", "value", limits_of(t));
}

int iotune_update(const Disk *before, const Disk *after, json_t *commands) {
        _cleanup_free_ char *id = group_id(before), *path = id ? strf("/objects/%s", id) : NULL;

        if (is_same_limits(&before->tune, &after->tune))
                return 0;
        return path ? args_command_undo(commands, "qom-set", set_limits(path, &after->tune), "qom-set", set_limits(path, &before->tune)) : -ENOMEM;
}

void iotune_share(DomainDef *def, const Device *changed) {
        const Disk *from = device_as_disk(changed);

        if (!from || !from->tune.group)
                return;
        DEVICE_FOREACH(Disk, d, def, DEVICE_DISK)
                if (d != from && streq_null(d->tune.group, from->tune.group)) {
                        char *group = d->tune.group;

                        d->tune = from->tune;
                        d->tune.group = group;
                }
}
