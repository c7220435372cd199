/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-def.h"

#include "str.h"
#include "xml-read.h"

DEFINE_ENUM(PoolType, pool_type, NULL, "dir", "fs", "netfs", "logical", "disk", "iscsi", "iscsi-direct", "scsi", "mpath", "rbd", "gluster", "zfs",
            "sheepdog", "vstorage")
DEFINE_ENUM(AuthType, auth_type, NULL, "chap", "ceph")
DEFINE_ENUM(AdapterType, adapter_type, NULL, "scsi_host", "fc_host")
DEFINE_ENUM(RefreshAllocation, refresh_allocation, NULL, "default", "capacity")

#define AT(member) offsetof(SourceHost, member)
static const Field host_fields[] = {
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = 255 },
        { "@port", &field_number, AT(port), .min = 1, .max = 65535 },
};
#undef AT
const RecordType source_host_record = { "host", sizeof(SourceHost), RECORD_FIELDS(host_fields) };

#define AT(member) offsetof(FreePart, member)
static const Field free_part_fields[] = {
        { "@start", &field_number, AT(start), FIELD_LIVE, .max = UINT64_MAX },
        { "@end", &field_number, AT(end), FIELD_LIVE, .max = UINT64_MAX },
};
#undef AT
static const RecordType free_part_record = { "freeExtent", sizeof(FreePart), RECORD_FIELDS(free_part_fields) };

#define AT(member) offsetof(SourceDevice, member)
static const Field device_fields[] = {
        { "@path", &field_string, AT(path), FIELD_REQUIRED },
        { "@part_separator", &field_yes_no, AT(part_separator) },
        { "freeExtent", &field_list, AT(free_parts), FIELD_LIVE, .record = &free_part_record },
};
#undef AT
const RecordType source_device_record = { "device", sizeof(SourceDevice), RECORD_FIELDS(device_fields) };

static const Field iqn_fields[] = { { "@name", &field_string, offsetof(InitiatorIqn, name), FIELD_REQUIRED, .max_length = 223 } };
static const RecordType iqn_record = { "iqn", sizeof(InitiatorIqn), RECORD_FIELDS(iqn_fields) };

#define AT(member) offsetof(PoolOption, member)
static const Field option_fields[] = {
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = 255 },
        { "@value", &field_string, AT(value), .max_length = 1024 },
};
#undef AT
static const RecordType mount_option_record = { "fs:option", sizeof(PoolOption), RECORD_FIELDS(option_fields) };
static const RecordType rbd_option_record = { "rbd:option", sizeof(PoolOption), RECORD_FIELDS(option_fields) };

#define AT(member) offsetof(PoolDef, member)
static const Field pool_fields[] = {
        { "@type", &field_enum, AT(type), FIELD_REQUIRED, .words = &pool_type_table },
        { "name", &field_string, AT(name) },
        { "uuid", &field_uuid, AT(uuid) },
        { "capacity", &field_size, AT(capacity), FIELD_LIVE, .unit = "bytes" },
        { "allocation", &field_size, AT(allocation), FIELD_LIVE, .unit = "bytes" },
        { "available", &field_size, AT(available), FIELD_LIVE, .unit = "bytes" },
        { "features/cow/@state", &field_yes_no, AT(cow) },

        { "source/host", &field_list, AT(hosts), .record = &source_host_record, .max = 16 },
        { "source/device", &field_list, AT(devices), .record = &source_device_record, .max = 256 },
        { "source/dir/@path", &field_string, AT(source_dir) },
        { "source/adapter/@type", &field_enum, AT(adapter_type), .words = &adapter_type_table },
        { "source/adapter/@name", &field_string, AT(adapter_name), .max_length = 64 },
        { "source/adapter/@parent", &field_string, AT(adapter_parent), .max_length = 64 },
        { "source/adapter/@managed", &field_yes_no, AT(adapter_managed) },
        { "source/adapter/@wwnn", &field_string, AT(adapter_wwnn), .max_length = 32 },
        { "source/adapter/@wwpn", &field_string, AT(adapter_wwpn), .max_length = 32 },
        { "source/name", &field_string, AT(source_name), .max_length = 255 },
        { "source/initiator/iqn", &field_list, AT(iqns), .record = &iqn_record, .max = 1 },
        { "source/auth/@type", &field_enum, AT(auth_type), .words = &auth_type_table },
        { "source/auth/@username", &field_string, AT(auth_username), .max_length = 255 },
        { "source/auth/secret/@usage", &field_string, AT(auth_secret_usage), .max_length = 255 },
        { "source/auth/secret/@uuid", &field_uuid, AT(auth_secret_uuid) },
        { "source/vendor/@name", &field_string, AT(vendor), .max_length = 64 },
        { "source/product/@name", &field_string, AT(product), .max_length = 64 },
        { "source/format/@type", &field_string, AT(source_format), .max_length = 32 },
        { "source/protocol/@ver", &field_string, AT(protocol_version), .max_length = 8 },

        { "target/path", &field_string, AT(path) },
        PERMISSIONS_FIELDS("target/", AT(permissions)),
        { "refresh/volume/@allocation", &field_enum, AT(refresh), .words = &refresh_allocation_table },
        { "fs:mount_opts/fs:option", &field_list, AT(mount_options), .record = &mount_option_record, .max = 64 },
        { "rbd:config_opts/rbd:option", &field_list, AT(rbd_options), .record = &rbd_option_record, .max = 64 },
};
#undef AT

const RecordType pool_record = { "pool", sizeof(PoolDef), RECORD_FIELDS(pool_fields) };

int permissions_mode(const Permissions *p, mode_t fallback, mode_t *ret) {
        uint64_t mode = 0;

        if (!p->mode) {
                *ret = fallback;
                return 0;
        }
        if (!*p->mode)
                return -EINVAL;
        for (const char *c = p->mode; *c; c++) {
                if (*c < '0' || *c > '7')
                        return -EINVAL;
                mode = mode * 8 + (uint64_t) (*c - '0');
        }
        if (mode > 07777)
                return -EINVAL;
        *ret = (mode_t) mode;
        return 0;
}
