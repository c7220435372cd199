/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-def.h"
#include "secret-ref.h"
#include "xml-definition.h"

/* libvirt's volume XML. */

typedef enum VolumeKind {
        VOLUME_NONE,
        VOLUME_FILE,
        VOLUME_BLOCK,
        VOLUME_DIR,
        VOLUME_NETWORK,
        VOLUME_NETDIR,
        _VOLUME_KIND_MAX,
        _VOLUME_KIND_INVALID = -EINVAL,
} VolumeKind;
DECLARE_ENUM(VolumeKind, volume_kind);

/* What QEMU and its tools call them. Those from VOLUME_FORMAT_PARTITIONS on are types of partitions. */
typedef enum VolumeFormat {
        FORMAT_UNSET,
        FORMAT_RAW,
        FORMAT_QCOW2,
        FORMAT_QCOW,
        FORMAT_QED,
        FORMAT_VMDK,
        FORMAT_VDI,
        FORMAT_VPC,
        FORMAT_VHDX,
        FORMAT_LUKS,
        FORMAT_ISO,
        FORMAT_DIR,
        FORMAT_PLOOP,
        FORMAT_NONE,
        FORMAT_LINUX,
        FORMAT_FAT16,
        FORMAT_FAT32,
        FORMAT_LINUX_SWAP,
        FORMAT_LINUX_LVM,
        FORMAT_LINUX_RAID,
        FORMAT_EXTENDED,
        _VOLUME_FORMAT_MAX,
        _VOLUME_FORMAT_INVALID = -EINVAL,
} VolumeFormat;
DECLARE_ENUM(VolumeFormat, volume_format);

typedef enum EncryptionFormat { ENCRYPTION_NONE, ENCRYPTION_DEFAULT, ENCRYPTION_QCOW, ENCRYPTION_LUKS, _ENCRYPTION_FORMAT_MAX,
                                _ENCRYPTION_FORMAT_INVALID = -EINVAL } EncryptionFormat;
DECLARE_ENUM(EncryptionFormat, encryption_format);

typedef struct VolumeExtent {
        Record head;
        uint64_t start, end;
} VolumeExtent;

/* What it lies on. */
typedef struct VolumeSource {
        Record head;
        char *path;
        RecordList extents;          /* VolumeExtent */
} VolumeSource;

typedef struct VolumeDef {
        Record head;
        xmlDoc *doc;
        VolumeKind kind;             /* of one that is there */
        char *name, *key;
        uint64_t capacity, allocation, physical; /* bytes; NUMBER_UNSET */

        bool source;
        RecordList sources;          /* VolumeSource; live */

        char *path;
        VolumeFormat format;
        Permissions permissions;
        char *atime, *mtime, *ctime, *birth; /* seconds since 1970, with a fraction */
        char *compat;                /* qcow2: "0.10" or "1.1" */
        bool nocow;
        uint64_t cluster_size;
        bool lazy_refcounts, extended_l2;
        EncryptionFormat encryption;
        RecordList secrets;          /* SecretRef */
        char *cipher_name, *cipher_mode, *cipher_hash, *ivgen_name, *ivgen_hash;
        uint64_t cipher_size;

        char *backing_path;
        VolumeFormat backing_format;
        Permissions backing_permissions;
        char *backing_atime, *backing_mtime, *backing_ctime, *backing_birth;
} VolumeDef;

extern const RecordType volume_record;

static inline VolumeDef *volume_def_free(VolumeDef *def) {
        return xml_definition_free(def);
}
DEFINE_CLEANUP(VolumeDef *, volume_def_free)

/* What a file seems to be to whoever gave it its name: ".qcow2", ".vmdk", …; raw where that tells nothing. Guests don't name files. */
VolumeFormat volume_format_of_name(const char *name);
