/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "storage.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* --- what a new one may be --- */

static bool is_creatable(VolumeFormat format) {
        return format == FORMAT_RAW || format == FORMAT_QCOW2 || format == FORMAT_LUKS || format == FORMAT_DIR || format == FORMAT_VMDK ||
               format == FORMAT_VDI || format == FORMAT_VPC || format == FORMAT_VHDX || format == FORMAT_QED || format == FORMAT_QCOW ||
               format == FORMAT_ISO;
}

static int check_format(const PoolDef *pool, const VolumeDef *def, Fault *f) {
        const char *format = volume_format_to_string(def->format);

        if (pool_ops(pool->type)->scan == SCAN_FOLDER)
                return is_creatable(def->format) ? 0 : xml_fault_below(&def->head, "target/format/@type", f, FAULT_INVALID_DEFINITION,
                                                                       "a file can't be of the format %s", format);
        if (def->format == FORMAT_RAW || (pool->type == POOL_DISK && def->format >= FORMAT_NONE))
                return 0;
        return xml_fault_below(&def->head, "target/format/@type", f, FAULT_INVALID_DEFINITION, "volumes in a pool of type '%s' are raw, not %s",
                               pool_type_to_string(pool->type), format);
}

static int check_sizes(const VolumeDef *def, Fault *f) {
        if (def->format == FORMAT_DIR || (def->capacity == NUMBER_UNSET && def->backing_path))
                return 0;
        if (def->capacity == NUMBER_UNSET)
                return xml_fault(&def->head, f, FAULT_INVALID_DEFINITION, "it has no <capacity>");
        if (def->capacity == 0)
                return xml_fault_below(&def->head, "capacity", f, FAULT_INVALID_DEFINITION, "a volume of 0 bytes is of no use");
        if (def->capacity > INT64_MAX)
                return xml_fault_below(&def->head, "capacity", f, FAULT_INVALID_DEFINITION, "no file can be larger than 8 EiB - 1 byte");
        if (def->allocation != NUMBER_UNSET && def->allocation > INT64_MAX)
                return xml_fault_below(&def->head, "allocation", f, FAULT_INVALID_DEFINITION, "no file can be larger than 8 EiB - 1 byte");
        return 0;
}

static int check_qcow2(const VolumeDef *def, Fault *f) {
        bool qcow2 = def->format == FORMAT_QCOW2;
        uint64_t cluster = def->cluster_size;

        if (!qcow2 && (def->compat || cluster != NUMBER_UNSET || def->lazy_refcounts || def->extended_l2))
                return xml_fault_below(&def->head, "target", f, FAULT_INVALID_DEFINITION, "compat, clusterSize and features are for qcow2");
        if (def->compat && !streq(def->compat, "0.10") && !streq(def->compat, "1.1"))
                return xml_fault_below(&def->head, "target/compat", f, FAULT_INVALID_DEFINITION, "\"%s\" is neither 0.10 nor 1.1", def->compat);
        if (streq_null(def->compat, "0.10") && (def->lazy_refcounts || def->extended_l2))
                return xml_fault_below(&def->head, "target/features", f, FAULT_INVALID_DEFINITION, "they need <compat>1.1</compat>");
        if (cluster != NUMBER_UNSET && (cluster < 512 || cluster > 2u * 1024 * 1024 || (cluster & (cluster - 1)) != 0))
                return xml_fault_below(&def->head, "target/clusterSize", f, FAULT_INVALID_DEFINITION, "it is a power of two from 512 to 2097152");
        if (def->extended_l2 && cluster != NUMBER_UNSET && cluster < 16384)
                return xml_fault_below(&def->head, "target/clusterSize", f, FAULT_INVALID_DEFINITION, "with extended_l2 it is at least 16384");
        return 0;
}

static int check_backing(const PoolDef *pool, const VolumeDef *def, Fault *f) {
        if (!def->backing_path)
                return def->backing_format == FORMAT_UNSET ? 0 : xml_fault_below(&def->head, "backingStore", f, FAULT_INVALID_DEFINITION, "it has no <path>");
        if (def->backing_path[0] != '/')
                return xml_fault_below(&def->head, "backingStore/path", f, FAULT_INVALID_DEFINITION, "\"%.200s\" is not absolute", def->backing_path);
        if (pool_ops(pool->type)->scan != SCAN_FOLDER) /* a snapshot: no image says anything */
                return 0;
        if (def->format != FORMAT_QCOW2 && def->format != FORMAT_QED && def->format != FORMAT_VMDK && def->format != FORMAT_QCOW)
                return xml_fault_below(&def->head, "backingStore", f, FAULT_INVALID_DEFINITION, "an image of the format %s has no backing file",
                                       volume_format_to_string(def->format));
        if (def->backing_format == FORMAT_UNSET) {
                xml_fault_below(&def->head, "backingStore", f, FAULT_INVALID_DEFINITION, "it does not say of which format %.200s is", def->backing_path);
                fault_hint(f, "add <format type='qcow2'/> or raw: formats are not guessed, since a guest can write what the guess would go by");
                return -EINVAL;
        }
        return 0;
}

static int check_encryption(const PoolDef *pool, const VolumeDef *def, Fault *f) {
        bool wanted = def->encryption != ENCRYPTION_NONE || def->secrets.n > 0 || def->format == FORMAT_LUKS;

        if (!wanted)
                return 0;
        if (def->format != FORMAT_QCOW2 && def->format != FORMAT_LUKS && def->format != FORMAT_RAW)
                return xml_fault_below(&def->head, "target/encryption", f, FAULT_INVALID_DEFINITION, "only raw and qcow2 images can be encrypted");
        if (def->encryption == ENCRYPTION_QCOW)
                return xml_fault_below(&def->head, "target/encryption/@format", f, FAULT_NOT_SUPPORTED,
                                       "QEMU makes no images with qcow's old encryption: use 'luks'");
        if (pool_ops(pool->type)->scan != SCAN_FOLDER)
                return xml_fault_below(&def->head, "target/encryption", f, FAULT_NOT_SUPPORTED, "only files are encrypted, not volumes of a pool of type '%s'",
                                       pool_type_to_string(pool->type));
        if (def->secrets.n != 1)
                return xml_fault_below(&def->head, "target/encryption", f, FAULT_INVALID_DEFINITION, "it needs one <secret type='passphrase' …/>");
        return secret_ref_check((const SecretRef *) def->secrets.items[0], f);
}

static int check_name(const PoolDef *pool, const VolumeDef *def, Fault *f) {
        int r;

        if (!def->name)
                return xml_fault(&def->head, f, FAULT_INVALID_DEFINITION, "it has no <name>");
        r = volume_name_check(def->name, f);
        if (r < 0)
                return r;
        if (pool_ops(pool->type)->scan != SCAN_FOLDER &&
            strspn(def->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-") != strlen(def->name))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL,
                                 "the volume name \"%.64s\" has other characters than letters, digits and +_.-", def->name);
        return 0;
}

static int check_permissions(const VolumeDef *def, Fault *f) {
        mode_t mode;

        if (permissions_mode(&def->permissions, 0, &mode) < 0)
                return xml_fault_below(&def->head, "target/permissions/mode", f, FAULT_INVALID_DEFINITION,
                                       "\"%s\" is no mode like 0600", def->permissions.mode);
        return 0;
}

int volume_complete(const PoolDef *pool, VolumeDef *def, Fault *f) {
        int r;

        assert(pool && def);

        if (def->format == FORMAT_UNSET)
                def->format = FORMAT_RAW;
        /* What libvirt calls an encrypted raw image. */
        if (def->format == FORMAT_RAW && (def->encryption != ENCRYPTION_NONE || def->secrets.n > 0))
                def->format = FORMAT_LUKS;
        r = check_name(pool, def, f);
        if (r >= 0)
                r = check_encryption(pool, def, f);
        if (r >= 0)
                r = check_format(pool, def, f);
        if (r >= 0)
                r = check_sizes(def, f);
        if (r >= 0)
                r = check_qcow2(def, f);
        if (r >= 0)
                r = check_backing(pool, def, f);
        return r < 0 ? r : check_permissions(def, f);
}
