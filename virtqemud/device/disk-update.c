/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* What of a disk changes while the guest runs: the medium of a drive, and its place in the boot order. */

static bool is_of_medium(const char *path) {
        static const char *const prefixes[] = { "source", "backingStore", "encryption", "virtbus:" };

        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
                if (str_after(path, prefixes[i]))
                        return true;
        return streq(path, "@type") || streq(path, "driver/@type") || streq(path, "target/@tray");
}

ChangeVerdict disk_verdict(const Device *before, const Device *after, const char *path) {
        const Disk *was = (const Disk *) before, *d = (const Disk *) after;

        if (streq(path, "boot/@order"))
                return CHANGE_AT_REBOOT;
        if (str_after(path, "iotune/") && !streq(path, "iotune/group_name") && iotune_any(&was->tune) && iotune_any(&d->tune))
                return CHANGE_NOW;
        return is_of_medium(path) && !disk_is_fixed(d) ? CHANGE_NOW : CHANGE_AT_POWER_OFF;
}

/* The guest's lock on a drive makes QEMU refuse unless `force`; what is in the drive is replaced, and comes back when anything fails. */
static int change_medium(const Disk *before, const Disk *after, json_t *commands) {
        _cleanup_free_ char *old = blockdev_top_name(before), *new = blockdev_top_name(after);
        const char *id = after->device.id;
        int r;

        if (!old || !new)
                return -ENOMEM;
        r = args_command_undo(commands, "blockdev-open-tray", json_pack("{s:s, s:b}", "id", id, "force", (int) after->force), "blockdev-close-tray",
                              json_pack("{s:s}", "id", id));
        if (r >= 0 && !disk_is_empty(before))
                r = args_command_undo(commands, "blockdev-remove-medium", json_pack("{s:s}", "id", id), "blockdev-insert-medium",
                                      json_pack("{s:s, s:s}", "id", id, "node-name", old));
        if (r >= 0 && !disk_is_empty(after))
                r = args_command_undo(commands, "blockdev-insert-medium", json_pack("{s:s, s:s}", "id", id, "node-name", new), "blockdev-remove-medium",
                                      json_pack("{s:s}", "id", id));
        /* An empty drive stays open only if that is what is asked for. */
        if (r >= 0 && !disk_tray_is_open(after))
                r = args_command_undo(commands, "blockdev-close-tray", json_pack("{s:s}", "id", id), "blockdev-open-tray",
                                      json_pack("{s:s, s:b}", "id", id, "force", 1));
        return r;
}

static int on_medium(const char *path, const Field *field, const void *before, const void *after, void *userdata) {
        return (field->flags & FIELD_LIVE) == 0 && !streq(path, "target/@tray") && is_of_medium(path);
}

static int keep_medium(Disk *after, const Disk *before) {
        void *below = NULL, *served = NULL;

        if (before->below && record_copy(&before->below->head, &below) < 0)
                return -ENOMEM;
        record_free(after->below ? &after->below->head : NULL);
        after->below = below;
        if (before->served && record_copy(&before->served->head, &served) < 0)
                return -ENOMEM;
        record_free(after->served ? &after->served->head : NULL);
        after->served = served;
        if (free_and_strdup(&after->found, before->found) < 0)
                return -ENOMEM;
        after->found_block = before->found_block;
        after->medium = before->medium;
        return 0;
}

/* Which one it is now is told from what the definition says: where its volume is and what is below it was found out. */
int disk_next_medium(Disk *after, const Disk *before) {
        BackingStore *below = after->below;
        bool other = false;

        assert(after && before);

        after->below = NULL;
        if (!disk_is_fixed(before)) { /* the others have one that never changes */
                Disk plain = *before;

                plain.below = NULL;
                other = record_diff(&plain.device.head, &after->device.head, NULL, on_medium, NULL) > 0;
        }
        after->below = below;
        if (!other)
                return keep_medium(after, before);
        after->medium = before->medium == NUMBER_UNSET ? 1 : before->medium + 1;
        return 1;
}

static int on_tray_or_medium(const char *path, const Field *field, const void *before, const void *after, void *userdata) {
        return (field->flags & FIELD_LIVE) == 0 && is_of_medium(path);
}

int disk_update(const Device *before, const Device *after, const DomainDef *def, json_t *commands) {
        const Disk *was = (const Disk *) before, *d = (const Disk *) after;
        int r = 0;

        assert(before && after && def && commands);

        if (!disk_is_fixed(d) && record_diff(&before->head, &after->head, NULL, on_tray_or_medium, NULL) > 0)
                r = change_medium(was, d, commands);
        if (r >= 0 && was->device.boot_order != d->device.boot_order)
                r = args_boot_change(commands, before, after, def);
        return r < 0 ? r : iotune_update(was, d, commands);
}

static int check_medium(const Disk *d, const char *path, const char *pool, const char *volume, const char *format, Fault *f) {
        if (!d || disk_is_fixed(d))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s is no drive with media", d ? d->device.id : "it");
        if ((pool == NULL) != (volume == NULL) || (path && pool))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a medium is a path, or a pool and a volume");
        if (path && path[0] != '/')
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.128s\" is no absolute path", path);
        if (format && disk_format_from_string(format) <= DISK_FORMAT_NONE)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is no format of images", format);
        return 0;
}

static int set_medium(Disk *d, const char *path, const char *pool, const char *volume, const char *format) {
        bool block = path && str_after(path, "/dev/");

        d->type = pool ? DISK_VOLUME : block ? DISK_BLOCK : DISK_FILE;
        d->below = record_free(d->below ? &d->below->head : NULL);
        d->served = record_free(d->served ? &d->served->head : NULL);
        d->found_block = UNSET;
        d->mode = d->startup_policy = 0;
        d->tray = path || pool ? 0 : d->tray;
        d->format = format ? disk_format_from_string(format) : pool ? DISK_FORMAT_NONE : DISK_RAW;
        if (free_and_strdup(&d->found, NULL) < 0 || free_and_strdup(&d->file, block ? NULL : path) < 0 ||
            free_and_strdup(&d->dev, block ? path : NULL) < 0 || free_and_strdup(&d->pool, pool) < 0)
                return -ENOMEM;
        return free_and_strdup(&d->volume, volume);
}

int disk_with_medium(const Disk *d, const char *path, const char *pool, const char *volume, const char *format, Device **ret, Fault *f) {
        void *copy = NULL;
        int r;

        assert(ret);

        r = check_medium(d, path, pool, volume, format, f);
        if (r < 0)
                return r;
        if (record_copy(&d->device.head, &copy) < 0)
                return fault_oom(f);
        if (set_medium(copy, path, pool, volume, format) < 0) {
                record_free(copy);
                return fault_oom(f);
        }
        *ret = copy;
        return 0;
}
