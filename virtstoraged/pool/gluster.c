/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* A volume of Gluster, mounted by its own file system, so that its images are files as everybody else's. */

static int check(const PoolDef *def, Fault *f) {
        if (!*def->source_name || strpbrk(def->source_name, "/ \t\n,") || def->source_name[0] == '-')
                return xml_fault_below(&def->head, "source/name", f, FAULT_INVALID_DEFINITION, "\"%.64s\" can't be the name of a volume of Gluster",
                                       def->source_name);
        if (def->source_dir && (def->source_dir[0] != '/' || strpbrk(def->source_dir, "\t\n")))
                return xml_fault_below(&def->head, "source/dir/@path", f, FAULT_INVALID_DEFINITION, "\"%.200s\" is no folder in it: it begins with a '/'",
                                       def->source_dir);
        return 0;
}

static int mount_plan(const PoolDef *def, MountPlan *ret) {
        const SourceHost *h = pool_host(def);
        _cleanup_free_ char *port = h->port == NUMBER_UNSET ? NULL : strf("server-port=%" PRIu64, h->port);
        bool six = strchr(h->name, ':');

        if (h->port != NUMBER_UNSET && !port)
                return -ENOMEM;
        ret->what = strf("%s%s%s:/%s%s", six ? "[" : "", h->name, six ? "]" : "", def->source_name,
                         def->source_dir && !streq(def->source_dir, "/") ? def->source_dir : "");
        ret->type = strdup("glusterfs");
        return ret->what && ret->type ? pool_mount_options(def, port, &ret->options) : -ENOMEM;
}

const PoolOps pool_gluster = {
        .type = POOL_GLUSTER, .needs = ELEMENT_HOST | ELEMENT_NAME | ELEMENT_PATH, .knows = ELEMENT_DIR | ELEMENT_MOUNT, .scan = SCAN_FOLDER,
        .volumes = VOLUME_FILE, .network = true, .device_folder = "/var/lib/virtbus-gluster/", .check = check, .mount = mount_plan,
};
