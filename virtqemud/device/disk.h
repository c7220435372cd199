/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

typedef enum DiskDevice { DISK_DEVICE_NONE, DISK_DISK, DISK_CDROM, _DISK_DEVICE_MAX, _DISK_DEVICE_INVALID = -EINVAL } DiskDevice;
DECLARE_ENUM(DiskDevice, disk_device);

typedef enum DiskType { DISK_TYPE_NONE, DISK_FILE, DISK_BLOCK, _DISK_TYPE_MAX, _DISK_TYPE_INVALID = -EINVAL } DiskType;
DECLARE_ENUM(DiskType, disk_type);

typedef enum DiskBus {
        DISK_BUS_NONE, DISK_VIRTIO, DISK_SCSI, DISK_SATA, DISK_IDE, DISK_USB,
        _DISK_BUS_MAX, _DISK_BUS_INVALID = -EINVAL,
} DiskBus;
DECLARE_ENUM(DiskBus, disk_bus);

typedef enum DiskFormat { DISK_FORMAT_NONE, DISK_RAW, DISK_QCOW2, _DISK_FORMAT_MAX, _DISK_FORMAT_INVALID = -EINVAL } DiskFormat;
DECLARE_ENUM(DiskFormat, disk_format);

typedef enum DiskCache {
        CACHE_UNSET, CACHE_DEFAULT, CACHE_NONE, CACHE_WRITEBACK, CACHE_WRITETHROUGH, CACHE_DIRECTSYNC, CACHE_UNSAFE,
        _DISK_CACHE_MAX, _DISK_CACHE_INVALID = -EINVAL,
} DiskCache;
DECLARE_ENUM(DiskCache, disk_cache);

/* <backingStore>: what an image is a layer on. An empty one says that there is nothing below; where it is missing, nobody has looked
 * yet. */
typedef struct BackingStore BackingStore;
struct BackingStore {
        Record head;
        int type;              /* DiskType; NONE: the end */
        int format;            /* DiskFormat */
        char *file, *dev;
        BackingStore *below;
};

typedef struct Disk {
        Device device;
        int type, what;        /* DiskType, DiskDevice */
        char *driver;          /* <driver name=…>: "qemu" */
        int format;            /* DiskFormat */
        int cache;             /* DiskCache */
        int io, discard, detect_zeroes, error_policy, rerror_policy;
        Tristate copy_on_read;
        char *file, *dev;      /* <source> */
        int startup_policy;
        BackingStore *below;
        char *target;
        int bus;               /* DiskBus */
        int tray;
        bool readonly, shareable;
        char *serial, *wwn;
} Disk;

/* The path of the top level; NULL: an empty drive. */
static inline const char *disk_path(const Disk *d) {
        return d->type == DISK_BLOCK ? d->dev : d->file;
}
static inline const char *backing_path(const BackingStore *b) {
        return b->type == DISK_BLOCK ? b->dev : b->file;
}

/* From blockdev.c: appends the nodes of all levels; the top one's name is what the device's "drive" is. */
int blockdev_args(const Disk *d, Args *a);
char *blockdev_top_name(const Disk *d);
const char *disk_io_word(const Disk *d);
const char *disk_discard_word(const Disk *d);
const char *disk_detect_zeroes_word(const Disk *d);
