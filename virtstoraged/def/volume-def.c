/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume-def.h"

#include "str.h"
#include "xml-read.h"

DEFINE_ENUM(VolumeKind, volume_kind, NULL, "file", "block", "dir", "network", "netdir")
DEFINE_ENUM(VolumeFormat, volume_format, NULL, "raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "vhdx", "luks", "iso", "dir", "ploop", "none",
            "linux", "fat16", "fat32", "linux-swap", "linux-lvm", "linux-raid", "extended")
DEFINE_ENUM(EncryptionFormat, encryption_format, NULL, "default", "qcow", "luks")

#define AT(member) offsetof(VolumeExtent, member)
static const Field extent_fields[] = {
        { "@start", &field_number, AT(start) },
        { "@end", &field_number, AT(end) },
};
#undef AT
static const RecordType extent_record = { "extent", sizeof(VolumeExtent), RECORD_FIELDS(extent_fields) };

#define AT(member) offsetof(VolumeSource, member)
static const Field source_fields[] = {
        { "@path", &field_string, AT(path), FIELD_REQUIRED },
        { "extent", &field_list, AT(extents), .record = &extent_record },
};
#undef AT
static const RecordType source_record = { "device", sizeof(VolumeSource), RECORD_FIELDS(source_fields) };

#define TIMESTAMPS(path, prefix)                                                                        \
        { path "timestamps/atime", &field_string, AT(prefix##atime), FIELD_LIVE, .max_length = 32 },    \
        { path "timestamps/mtime", &field_string, AT(prefix##mtime), FIELD_LIVE, .max_length = 32 },    \
        { path "timestamps/ctime", &field_string, AT(prefix##ctime), FIELD_LIVE, .max_length = 32 },    \
        { path "timestamps/btime", &field_string, AT(prefix##birth), FIELD_LIVE, .max_length = 32 }

#define AT(member) offsetof(VolumeDef, member)
static const Field volume_fields[] = {
        { "@type", &field_enum, AT(kind), .words = &volume_kind_table },
        { "name", &field_string, AT(name) },
        { "key", &field_string, AT(key), FIELD_LIVE },
        { "capacity", &field_size, AT(capacity), .unit = "bytes" },
        { "allocation", &field_size, AT(allocation), .unit = "bytes" },
        { "physical", &field_size, AT(physical), FIELD_LIVE, .unit = "bytes" },
        { "source", &field_flag, AT(source), FIELD_LIVE },
        { "source/device", &field_list, AT(sources), FIELD_LIVE, .record = &source_record },
        { "target/path", &field_string, AT(path) },
        { "target/format/@type", &field_enum, AT(format), .words = &volume_format_table },
        PERMISSIONS_FIELDS("target/", AT(permissions)),
        TIMESTAMPS("target/", ),
        { "target/compat", &field_string, AT(compat), .max_length = 8 },
        { "target/nocow", &field_flag, AT(nocow) },
        { "target/clusterSize", &field_size, AT(cluster_size), .unit = "B" },
        { "target/features/lazy_refcounts", &field_flag, AT(lazy_refcounts) },
        { "target/features/extended_l2", &field_flag, AT(extended_l2) },
        { "target/encryption/@format", &field_enum, AT(encryption), .words = &encryption_format_table },
        { "target/encryption/secret", &field_list, AT(secrets), .record = &secret_ref_record, .max = 1 },
        { "target/encryption/cipher/@name", &field_string, AT(cipher_name), .max_length = 32 },
        { "target/encryption/cipher/@size", &field_number, AT(cipher_size), .min = 64, .max = 1024 },
        { "target/encryption/cipher/@mode", &field_string, AT(cipher_mode), .max_length = 32 },
        { "target/encryption/cipher/@hash", &field_string, AT(cipher_hash), .max_length = 32 },
        { "target/encryption/ivgen/@name", &field_string, AT(ivgen_name), .max_length = 32 },
        { "target/encryption/ivgen/@hash", &field_string, AT(ivgen_hash), .max_length = 32 },
        { "backingStore/path", &field_string, AT(backing_path) },
        { "backingStore/format/@type", &field_enum, AT(backing_format), .words = &volume_format_table },
        PERMISSIONS_FIELDS("backingStore/", AT(backing_permissions)),
        TIMESTAMPS("backingStore/", backing_),
};
#undef AT

const RecordType volume_record = { "volume", sizeof(VolumeDef), RECORD_FIELDS(volume_fields) };

VolumeFormat volume_format_of_name(const char *name) {
        static const struct {
                const char *suffix;
                VolumeFormat format;
        } rows[] = {
                { ".qcow2", FORMAT_QCOW2 }, { ".qcow", FORMAT_QCOW }, { ".qed", FORMAT_QED }, { ".vmdk", FORMAT_VMDK }, { ".vdi", FORMAT_VDI },
                { ".vhd", FORMAT_VPC }, { ".vpc", FORMAT_VPC }, { ".vhdx", FORMAT_VHDX }, { ".luks", FORMAT_LUKS }, { ".iso", FORMAT_ISO },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (str_ends(name, rows[i].suffix))
                        return rows[i].format;
        return FORMAT_RAW;
}
