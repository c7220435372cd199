/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* A file system on a device of this host. */

static const char *const formats[] = { "auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs", "ocfs2", "btrfs",
                                       "vmfs", NULL };

static int check(const PoolDef *def, Fault *f) {
        const char *path = pool_device(def)->path;

        if (path[0] == '/' || str_after(path, "UUID=") || str_after(path, "LABEL=") || str_after(path, "PARTUUID=") || str_after(path, "PARTLABEL="))
                return 0;
        return xml_fault(&pool_device(def)->head, f, FAULT_INVALID_DEFINITION, "\"%.200s\" is neither a path nor UUID=, LABEL=, PARTUUID= or PARTLABEL=", path);
}

static int mount_plan(const PoolDef *def, MountPlan *ret) {
        int r = free_and_strdup(&ret->what, pool_device(def)->path);

        if (r >= 0 && !streq(def->source_format, "auto"))
                r = free_and_strdup(&ret->type, streq(def->source_format, "hfs+") ? "hfsplus" : def->source_format);
        return r < 0 ? r : pool_mount_options(def, NULL, &ret->options);
}

/* The ways of mkfs differ in how they are told to overwrite. */
static int build(const PoolDef *def, bool overwrite, Commands *c) {
        const char *format = def->source_format, *path = pool_device(def)->path;
        bool ext = str_after(format, "ext");

        if (streq(format, "auto"))
                format = "ext4";
        if (streq(format, "xfs") || streq(format, "btrfs"))
                return commands_add(c, "mkfs", "-t", format, overwrite ? "-f" : "", path, NULL);
        if (ext || streq(format, "ext4"))
                return commands_add(c, "mkfs", "-t", format, "-q", overwrite ? "-F" : "", path, NULL);
        return commands_add(c, "mkfs", "-t", format, path, NULL);
}

const PoolOps pool_fs = {
        .type = POOL_FS, .needs = ELEMENT_PATH | ELEMENT_DEVICE, .knows = ELEMENT_MOUNT | ELEMENT_COW, .formats = formats, .scan = SCAN_FOLDER,
        .volumes = VOLUME_FILE, .check = check, .mount = mount_plan, .build = build,
};
