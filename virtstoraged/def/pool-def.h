/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "xml-definition.h"

/* libvirt's storage pool XML. What a kind of pool makes of it is in ../pool. */

typedef enum PoolType {
        POOL_NONE,
        POOL_DIR,
        POOL_FS,
        POOL_NETFS,
        POOL_LOGICAL,
        POOL_DISK,
        POOL_ISCSI,
        POOL_ISCSI_DIRECT,
        POOL_SCSI,
        POOL_MPATH,
        POOL_RBD,
        POOL_GLUSTER,
        POOL_ZFS,
        POOL_SHEEPDOG,
        POOL_VSTORAGE,
        _POOL_TYPE_MAX,
        _POOL_TYPE_INVALID = -EINVAL,
} PoolType;
DECLARE_ENUM(PoolType, pool_type);

typedef enum AuthType { AUTH_NONE, AUTH_CHAP, AUTH_CEPH, _AUTH_TYPE_MAX, _AUTH_TYPE_INVALID = -EINVAL } AuthType;
DECLARE_ENUM(AuthType, auth_type);

typedef enum AdapterType { ADAPTER_NONE, ADAPTER_SCSI_HOST, ADAPTER_FC_HOST, _ADAPTER_TYPE_MAX, _ADAPTER_TYPE_INVALID = -EINVAL } AdapterType;
DECLARE_ENUM(AdapterType, adapter_type);

typedef enum RefreshAllocation {
        REFRESH_UNSET,
        REFRESH_DEFAULT,
        REFRESH_CAPACITY,
        _REFRESH_ALLOCATION_MAX,
        _REFRESH_ALLOCATION_INVALID = -EINVAL
} RefreshAllocation;
DECLARE_ENUM(RefreshAllocation, refresh_allocation);

typedef struct SourceHost {
        Record head;
        char *name;
        uint64_t port;
} SourceHost;

/* Of a disk, what is no partition yet. */
typedef struct FreePart {
        Record head;
        uint64_t start, end;
} FreePart;

typedef struct SourceDevice {
        Record head;
        char *path;
        Tristate part_separator;
        RecordList free_parts;   /* live, as others write it */
} SourceDevice;

typedef struct InitiatorIqn {
        Record head;
        char *name;
} InitiatorIqn;

/* Of a mount: NAME or NAME=VALUE; of RBD: both. */
typedef struct PoolOption {
        Record head;
        char *name, *value;
} PoolOption;

/* Mode, owner, label: of a pool's folder, or of a volume. */
typedef struct Permissions {
        char *mode;                  /* octal */
        int64_t owner, group;        /* INTEGER_UNSET; -1: whoever it is */
        char *label;
} Permissions;
#define PERMISSIONS_FIELDS(path, base)                                                                  \
        { path "permissions/mode", &field_string, (base) + offsetof(Permissions, mode), .max_length = 5 },          \
        { path "permissions/owner", &field_integer, (base) + offsetof(Permissions, owner) },            \
        { path "permissions/group", &field_integer, (base) + offsetof(Permissions, group) },            \
        { path "permissions/label", &field_string, (base) + offsetof(Permissions, label), .max_length = 255 }

typedef struct PoolDef {
        DEFINITION_MEMBERS;
        PoolType type;
        uint64_t capacity, allocation, available;   /* live */

        RecordList hosts;            /* SourceHost */
        RecordList devices;          /* SourceDevice */
        char *source_dir, *source_name, *source_format;
        AdapterType adapter_type;
        char *adapter_name, *adapter_parent, *adapter_wwnn, *adapter_wwpn;
        Tristate adapter_managed;
        RecordList iqns;             /* InitiatorIqn */
        AuthType auth_type;
        char *auth_username, *auth_secret_usage;
        sd_id128_t auth_secret_uuid;
        char *protocol_version, *vendor, *product;

        char *path;                  /* target */
        Permissions permissions;
        Tristate cow;
        RefreshAllocation refresh;
        RecordList mount_options;    /* PoolOption */
        RecordList rbd_options;      /* PoolOption */
} PoolDef;

extern const RecordType pool_record, source_device_record, source_host_record;

/* With its document; takes NULL. */
static inline PoolDef *pool_def_free(PoolDef *def) {
        return xml_definition_free(def);
}
DEFINE_CLEANUP(PoolDef *, pool_def_free)

/* Permission bits of "0644"; -EINVAL. */
int permissions_mode(const Permissions *p, mode_t fallback, mode_t *ret);

