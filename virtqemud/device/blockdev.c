/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"
#include "mem.h"
#include "str.h"
#include "virtio.h"

/* A disk's images as QEMU's graph of nodes: for each level one node that reads the file (through an fdset, because QEMU opens nothing)
 * and one that understands the format. */

#define NODE_NAME_MAX 31u /* QEMU's limit */

/* One level, whichever record it comes from. */
typedef struct Level {
        const char *path;
        bool block, writable, served, scratch, nvme;
        int format;
        unsigned layer;        /* of the definition, 0 being its image */
        unsigned depth;        /* 0: the top */
} Level;

/* Over the whole of a name that is too long. */
static uint32_t sum_of(const char *id) {
        uint32_t sum = 2166136261u;

        for (const char *p = id; *p; p++)
                sum = (sum ^ (unsigned char) *p) * 16777619u;
        return sum;
}

static char *tail_of(const Disk *d, unsigned depth, const char *what) {
        _cleanup_free_ char *medium = d->medium == NUMBER_UNSET ? strdup("") : strf("-m%" PRIu64, d->medium);

        if (!medium)
                return NULL;
        return depth == 0 ? strf("%s-%s", medium, what) : strf("%s-%u-%s", medium, depth, what);
}

/* "virtio-disk0-1-format", "ide0-m2-format"; a long alias of the user is cut and made distinct again by a sum. */
char *blockdev_name(const Disk *d, unsigned depth, const char *what) {
        _cleanup_free_ char *tail = tail_of(d, depth, what);
        size_t room = tail ? NODE_NAME_MAX - strlen(tail) : 0;

        if (!tail)
                return NULL;
        if (strlen(d->device.id) <= room)
                return strf("%s%s", d->device.id, tail);
        return strf("%.*s-%08x%s", (int) room - 9, d->device.id, sum_of(d->device.id), tail);
}

bool blockdev_owns(const Disk *d, const char *node) {
        const char *rest = str_after(node, d->device.id);
        _cleanup_free_ char *sum = rest ? NULL : strf("-%08x-", sum_of(d->device.id));

        return rest ? *rest == '-' : sum && strstr(node, sum);
}

char *blockdev_top_name(const Disk *d) {
        return blockdev_name(d, 0, iotune_any(&d->tune) ? "limit" : d->copy_on_read == YES ? "copy" : "format");
}

static int add_cache(const Disk *d, json_t *json) {
        bool direct = d->cache == CACHE_NONE || d->cache == CACHE_DIRECTSYNC, no_flush = d->cache == CACHE_UNSAFE;

        if (d->cache == CACHE_UNSET || d->cache == CACHE_DEFAULT)
                return 0;
        return json_object_set_new(json, "cache", json_pack("{s:b, s:b}", "direct", direct, "no-flush", no_flush)) < 0 ? -ENOMEM : 0;
}

static int add_storage(const Disk *d, const Level *l, const char *name, Args *a) {
        _cleanup_free_ char *file = NULL;
        json_auto_t *json = NULL;
        unsigned set;
        int r;

        r = l->scratch ? args_fd(a, PLAN_FD_SCRATCH, d->device.id, true, false, true, &set)
                       : args_fd(a, PLAN_FD_IMAGE, l->path, l->writable, false, true, &set);
        if (r < 0)
                return r;
        file = strf("/dev/fdset/%u", set);
        json = file ? json_pack("{s:s, s:s, s:s, s:b}", "driver", l->block ? "host_device" : "file", "filename", file,
                                "node-name", name, "read-only", !l->writable) : NULL;
        if (!json || add_cache(d, json) < 0 || json_set_text(json, "aio", disk_io_word(d)) < 0 ||
            json_set_text(json, "discard", disk_discard_word(d)) < 0 || (l->depth == 0 && disk_reservations_node(d, json) < 0))
                return -ENOMEM;
        return args_json(a, ARG_BLOCKDEV, TAKE_PTR(json));
}

/* From the program that speaks with the server, or reads the folder; the connection is there already. */
static int add_served(const Disk *d, const Level *l, const char *name, Args *a) {
        _cleanup_free_ char *program = companion_name(&d->device, l->layer), *fd = NULL;
        json_auto_t *json = NULL;

        fd = program ? args_fd_name(a, args_fd(a, PLAN_FD_COMPANION, program, false, false, false, NULL)) : NULL;
        json = fd ? json_pack("{s:s, s:{s:s, s:s}, s:s, s:s, s:b}", "driver", "nbd", "server", "type", "fd", "str", fd, "export", NETWORK_EXPORT,
                              "node-name", name, "read-only", !l->writable) : NULL;
        if (!json || add_cache(d, json) < 0 || json_set_text(json, "discard", disk_discard_word(d)) < 0)
                return -ENOMEM;
        return args_json(a, ARG_BLOCKDEV, TAKE_PTR(json));
}

/* The host caches nothing of it. To say so would turn off the controller's own cache, which not all of them let. */
static int add_nvme(const Disk *d, const Level *l, const char *name, Args *a) {
        json_auto_t *json = disk_nvme_node(d, a);

        if (!json || json_set_text(json, "node-name", name) < 0 || json_object_set_new(json, "read-only", json_boolean(!l->writable)) < 0 ||
            json_set_text(json, "discard", disk_discard_word(d)) < 0)
                return -ENOMEM;
        return args_json(a, ARG_BLOCKDEV, TAKE_PTR(json));
}

/* Between the file and its format: a part of it, as if there were no more. */
static int add_slice(const Disk *d, const Level *l, const char *whole, const char *name, Args *a) {
        return args_json(a, ARG_BLOCKDEV, json_pack("{s:s, s:s, s:s, s:b, s:I, s:I}", "driver", "raw", "file", whole, "node-name", name, "read-only",
                                                    (int) !l->writable, "offset", (json_int_t) d->slice_offset, "size", (json_int_t) d->slice_size));
}

static bool may_name_others(int format) {
        return format == DISK_QCOW2 || format == DISK_VMDK || format == DISK_QED || format == DISK_QCOW;
}

static int add_format(const Disk *d, const Level *l, const char *storage, const char *below, Args *a) {
        _cleanup_free_ char *name = blockdev_name(d, l->depth, "format");
        /* FAT is for the guest to understand. */
        const char *driver = disk_format_to_string(l->format == DISK_FAT ? DISK_RAW : (DiskFormat) l->format);
        json_auto_t *json = NULL;

        json = name ? json_pack("{s:s, s:s, s:s, s:b}", "driver", driver, "file", storage, "node-name", name, "read-only", !l->writable) : NULL;
        if (!json || add_cache(d, json) < 0 || json_set_text(json, "discard", disk_discard_word(d)) < 0)
                return -ENOMEM;
        if (l->depth == 0 && disk_encryption_format(d, json) < 0)
                return -ENOMEM;
        if (l->depth == 0 && json_set_number(json, "cache-size", d->metadata_cache) < 0)
                return -ENOMEM;
        if (l->depth == 0 && json_set_text(json, "detect-zeroes", disk_detect_zeroes_word(d)) < 0)
                return -ENOMEM;
        /* Said in any case, so that QEMU never follows what is written in the image. */
        if (may_name_others(l->format) &&
            json_object_set_new(json, "backing", below ? json_string(below) : json_null()) < 0)
                return -ENOMEM;
        return args_json(a, ARG_BLOCKDEV, TAKE_PTR(json));
}

/* Deepest first: a node has to be there before another one builds on it. */
static int add_level(const Disk *d, const Level *l, const BackingStore *below, Args *a) {
        _cleanup_free_ char *storage = blockdev_name(d, l->depth, "storage"), *slice = blockdev_name(d, l->depth, "slice"), *below_name = NULL;
        bool has_below = below && below->type != DISK_TYPE_NONE, has_slice = l->depth == 0 && d->slice_size != NUMBER_UNSET;
        int r;

        if (!storage || !slice)
                return -ENOMEM;
        if (has_below) {
                const Level next = {
                        .path = backing_path(below), .block = below->type == DISK_BLOCK, .served = backing_network(below), .format = below->format,
                        .layer = l->scratch ? 0 : l->layer + 1, .depth = l->depth + 1,
                };

                below_name = blockdev_name(d, next.depth, "format");
                r = below_name ? add_level(d, &next, below->below, a) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        r = (l->served ? add_served : l->nvme ? add_nvme : add_storage)(d, l, storage, a);
        if (r >= 0 && has_slice)
                r = add_slice(d, l, storage, slice, a);
        return r < 0 ? r : add_format(d, l, has_slice ? slice : storage, below_name, a);
}

/* What is read from below is kept above. */
static int add_copy(const Disk *d, const char *format, Args *a) {
        _cleanup_free_ char *name = blockdev_name(d, 0, "copy");

        return args_json(a, ARG_BLOCKDEV, name ? json_pack("{s:s, s:s, s:s}", "driver", "copy-on-read", "node-name", name, "file", format) : NULL);
}

static int add_image(const Disk *d, Args *a) {
        const Level top = {
                .path = disk_path(d), .block = disk_is_block(d), .writable = !d->readonly, .format = d->format,
                .served = disk_network(d) || d->type == DISK_DIR, .nvme = d->type == DISK_NVME,
        };

        return add_level(d, &top, d->below, a);
}

/* What is written goes into a layer that has no name; the image is the first one below. */
static int add_transient(const Disk *d, Args *a) {
        const BackingStore image = { .type = DISK_FILE, .format = d->format, .file = (char *) disk_path(d), .below = d->below };
        const Level top = { .scratch = true, .writable = true, .format = DISK_QCOW2 };

        return add_level(d, &top, &image, a);
}

int blockdev_args(const Disk *d, Args *a) {
        _cleanup_free_ char *format = blockdev_name(d, 0, "format"), *copy = blockdev_name(d, 0, "copy");
        int r = format && copy ? disk_encryption_args(d, a) : -ENOMEM;

        if (r >= 0)
                r = disk_reservations_args(d, a);
        if (r >= 0)
                r = d->transient ? add_transient(d, a) : add_image(d, a);
        if (r >= 0 && d->copy_on_read == YES)
                r = add_copy(d, format, a);
        return r < 0 ? r : iotune_args(d, d->copy_on_read == YES ? copy : format, a);
}
