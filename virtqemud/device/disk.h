/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"
#include "disk-network.h"
#include "host-pci.h"
#include "secret-ref.h"
#include "virtio.h"

typedef enum DiskDevice { DISK_DEVICE_NONE, DISK_DISK, DISK_CDROM, DISK_FLOPPY, DISK_LUN, _DISK_DEVICE_MAX, _DISK_DEVICE_INVALID = -EINVAL } DiskDevice;
DECLARE_ENUM(DiskDevice, disk_device);

typedef enum DiskMode { DISK_MODE_UNSET, DISK_MODE_HOST, DISK_MODE_DIRECT } DiskMode;

typedef enum DiskTray { TRAY_UNSET, TRAY_CLOSED, TRAY_OPEN } DiskTray;

typedef enum DiskModel { DISK_MODEL_NONE, DISK_MODEL_VIRTIO, DISK_MODEL_TRANSITIONAL, DISK_MODEL_NON_TRANSITIONAL } DiskModel;

typedef enum DiskType {
        DISK_TYPE_NONE, DISK_FILE, DISK_BLOCK, DISK_VOLUME, DISK_NETWORK, DISK_VHOSTUSER, DISK_DIR, DISK_NVME,
        _DISK_TYPE_MAX, _DISK_TYPE_INVALID = -EINVAL
} DiskType;
DECLARE_ENUM(DiskType, disk_type);

typedef enum DiskBus {
        DISK_BUS_NONE, DISK_VIRTIO, DISK_SCSI, DISK_SATA, DISK_IDE, DISK_USB, DISK_FDC,
        _DISK_BUS_MAX, _DISK_BUS_INVALID = -EINVAL,
} DiskBus;
DECLARE_ENUM(DiskBus, disk_bus);

typedef enum DiskFormat {
        DISK_FORMAT_NONE, DISK_RAW, DISK_QCOW2, DISK_VDI, DISK_VPC, DISK_VHDX, DISK_FAT, DISK_VMDK, DISK_QED, DISK_QCOW,
        _DISK_FORMAT_MAX, _DISK_FORMAT_INVALID = -EINVAL,
} DiskFormat;
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
        uint64_t index, source_index; /* live, as others write it */
        char *file, *dev;
        DiskNetwork network;   /* of type 'network' */
        BackingStore *below;
};

/* Live: what a volume of a pool in the network is, as virtstoraged says. */
typedef struct DiskServed {
        Record head;
        DiskNetwork network;
} DiskServed;

/* How its image is encrypted. */
typedef struct DiskEncryption {
        Record head;
        int format, engine;
        SecretRef *secret;     /* the passphrase */
} DiskEncryption;

/* <iotune>: NUMBER_UNSET is no limit. */
typedef struct IoTune {
#define IO_LIMIT(name, key) uint64_t name;
#include "io-limits.h"
#undef IO_LIMIT
        char *group;           /* disks of the same one share the limits */
} IoTune;

typedef struct Disk {
        Device device;
        int type, what;        /* DiskType, DiskDevice */
        char *driver;          /* <driver name=…>: "qemu" */
        int format;            /* DiskFormat */
        int cache;             /* DiskCache */
        int io, discard, detect_zeroes, error_policy, rerror_policy;
        Tristate copy_on_read;
        char *file, *dev;      /* <source> */
        char *pool, *volume;   /* likewise, of type 'volume' */
        DiskNetwork network;   /* likewise, of type 'network' */
        char *folder;          /* likewise, of type 'dir' */
        HostPci *pci;          /* likewise, of type 'nvme': the controller, and which of its disks */
        uint64_t name_space;
        Tristate managed;
        int source_type;       /* DiskSourceType; likewise, of type 'vhostuser': a program's socket */
        char *socket;
        Tristate reconnect;
        int mode, sgio;        /* DiskMode: how a unit of iSCSI is reached */
        Tristate raw_io;
        int slice_type;        /* of the source: only this part of it, in bytes */
        uint64_t slice_offset, slice_size;
        uint64_t source_index; /* live, as others write it */
        Tristate reservations; /* of a SCSI unit, for other hosts to see: by a program of ours, or by the one behind that socket */
        int reservations_type, reservations_mode;
        char *reservations_path;
        int snapshot;          /* what snapshots do with it, unless they say */
        int model;             /* DiskModel: of virtio */
        uint64_t metadata_cache; /* bytes; qcow2 */
        char *found;           /* live: where that is; */
        DiskServed *served;    /* that it is in the network; */
        Tristate found_block;  /* whether it is a block device */
        int startup_policy;
        DiskEncryption *encryption, *source_encryption; /* said at the disk, or at its source */
        RecordList labels;      /* SourceLabel */
        struct _xmlNode *mirror; /* live, and nothing follows from it: a copy that somebody is making */
        BackingStore *below;
        char *target;
        int bus;               /* DiskBus */
        int tray;
        uint64_t medium;       /* live: counts the media the drive has had since the start; NUMBER_UNSET: one */
        bool force;            /* the guest's lock on its drive does not count; never written */
        bool readonly, shareable;
        bool transient;        /* what is written goes with the run */
        Tristate share_backing; /* other VMs may use the image, too: it is never written, so they may in any case */
        char *serial, *wwn;
        VirtioOptions virtio;
        uint64_t queues, queue_size, iothread;
        char *vendor, *product;
        uint64_t cylinders, heads, sectors;
        int translation;         /* of these, by the BIOS */
        uint64_t logical_block, physical_block, discard_granularity;
        uint64_t rotation_rate;
        Tristate removable;
        IoTune tune;
} Disk;

/* The path of the top level; NULL: an empty drive, a volume that nobody has looked for yet, or nothing that is on this host. */
static inline const char *disk_path(const Disk *d) {
        return d->type == DISK_VOLUME ? d->served ? NULL : d->found : d->type == DISK_BLOCK ? d->dev : d->file;
}
/* What it is in the network, by its definition or its volume; NULL: nothing. */
static inline const DiskNetwork *disk_network(const Disk *d) {
        return d->type == DISK_NETWORK ? &d->network : d->type == DISK_VOLUME && d->served ? &d->served->network : NULL;
}
/* Whether QEMU gets its image from virtqemud. */
static inline bool disk_is_image(const Disk *d) {
        return d->type == DISK_FILE || d->type == DISK_BLOCK || (d->type == DISK_VOLUME && !d->served);
}
/* Whether QEMU has nothing to read there. */
static inline bool disk_is_empty(const Disk *d) {
        return disk_is_image(d) && !disk_path(d);
}
/* One of the guest's for good: no drive for media. */
static inline bool disk_is_fixed(const Disk *d) {
        return d->what == DISK_DISK || d->what == DISK_LUN;
}
static inline const DiskEncryption *disk_encryption(const Disk *d) {
        return d->encryption ?: d->source_encryption;
}
static inline bool disk_is_block(const Disk *d) {
        return d->type == DISK_BLOCK || (d->type == DISK_VOLUME && d->found_block == YES);
}
/* NULL: it is in the network. */
static inline const char *backing_path(const BackingStore *b) {
        return b->type == DISK_BLOCK ? b->dev : b->file;
}
static inline const DiskNetwork *backing_network(const BackingStore *b) {
        return b->type == DISK_NETWORK ? &b->network : NULL;
}

/* The disk a device is; NULL: it is none. */
Disk *device_as_disk(const Device *d);
/* The same drive with another medium: a file or block device by its path, or a volume; all NULL: none. FAULT_INVALID_ARGS. */
int disk_with_medium(const Disk *d, const char *path, const char *pool, const char *volume, const char *format, Device **ret, Fault *f);
/* Where a volume is. */
typedef struct VolumePlace {
        const char *path, *kind, *format;
        const char *source;    /* <source> of a disk of type 'network'; "": it is not in the network */
} VolumePlace;
/* Of the live definition: where its volume is, and what it is, unless the definition says so. FAULT_NOT_SUPPORTED. */
int disk_set_volume(Disk *d, const VolumePlace *place, Fault *f);

/* From disk-chain.c: the layers below. */
extern const RecordType disk_backing_record;
int disk_check_layers(const Disk *d, Fault *f);
/* Whether what is below the last of them is to be looked up. */
bool disk_chain_is_open(const Disk *d);
int disk_apply_chain(Device *device, const char *image, const ChainLevel *levels, size_t n);
/* What it is in the network, 0 being the top; NULL: nothing, or there is no such layer. */
const DiskNetwork *disk_layer_network(const Disk *d, unsigned layer);

/* From disk-volume.c. */
extern const RecordType disk_served_record;

/* From disk.c: the path of a source of that DiskType. */
int disk_check_path(const Record *r, int type, const char *file, const char *dev, Fault *f);

/* From disk-dir.c and disk-nvme.c: what of these types differs from images. */
int disk_dir_check(const Disk *d, Fault *f);
int disk_dir_companion(const Disk *d, Companion *ret);
int disk_nvme_check(const Disk *d, const DomainDef *def, Fault *f);
int disk_nvme_companion(const Disk *d, Companion *ret);
char *disk_nvme_claim(const Disk *d);
/* The node that reads and writes it, without its name. NULL: out of memory. */
json_t *disk_nvme_node(const Disk *d, Args *a);

/* From disk-reservations.c: a program beside QEMU, which has not the right to such commands, carries them out. */
#define RESERVATION_FIELDS                                                                                              \
        { "source/reservations/@managed", &field_yes_no, offsetof(Disk, reservations) },                                \
        { "source/reservations/source/@type", &field_enum, offsetof(Disk, reservations_type), .words = &reservations_type_table }, \
        { "source/reservations/source/@mode", &field_enum, offsetof(Disk, reservations_mode), .words = &reservations_mode_table }, \
        { "source/reservations/source/@path", &field_string, offsetof(Disk, reservations_path), .max_length = 107 }
extern const EnumTable reservations_type_table, reservations_mode_table;
int disk_reservations_check(const Disk *d, Fault *f);
int disk_reservations_companion(Companion *ret);
/* The object, and its name in the node of the device. */
int disk_reservations_args(const Disk *d, Args *a);
int disk_reservations_node(const Disk *d, json_t *json);

/* From disk-encryption.c: the passphrase's object, and what names it in the node of the format. */
extern const RecordType disk_encryption_record;
int disk_encryption_args(const Disk *d, Args *a);
int disk_encryption_format(const Disk *d, json_t *json);

static inline bool disk_tray_is_open(const Disk *d) {
        return d->tray == TRAY_OPEN;
}

/* From disk-update.c: DeviceOps.update; and whether another medium comes into the drive. */
int disk_next_medium(Disk *after, const Disk *before);   /* 1: another one; 0: the same */
int disk_update(const Device *before, const Device *after, const DomainDef *def, json_t *commands);
ChangeVerdict disk_verdict(const Device *before, const Device *after, const char *path);

/* From disk-iotune.c: the node that keeps the limits, above the one of that name. Appends nothing where there are none. */
bool iotune_any(const IoTune *t);
int iotune_check(const Disk *d, const DomainDef *def, Fault *f);
int iotune_args(const Disk *d, const char *below, Args *a);
/* The other disks of its group have the same limits as this device, if it is a disk. */
void iotune_share(DomainDef *def, const Device *changed);
int iotune_update(const Disk *before, const Disk *after, json_t *commands);

/* From blockdev.c: appends the nodes of all levels; the top one's name is what the device's "drive" is. */
int blockdev_args(const Disk *d, Args *a);
char *blockdev_top_name(const Disk *d);
/* Whether a node of that name is one of the disk's, whichever medium it belongs to. */
bool blockdev_owns(const Disk *d, const char *node);
/* "ID-WHAT", with the number of the medium in between from the second on; new string. */
char *blockdev_name(const Disk *d, unsigned depth, const char *what);
const char *disk_io_word(const Disk *d);
const char *disk_discard_word(const Disk *d);
const char *disk_detect_zeroes_word(const Disk *d);
