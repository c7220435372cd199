/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include <string.h>

#include "str.h"
#include "xml-read.h"

/* A file system of a server. */

static const char *const formats[] = { "auto", "nfs", "cifs", "glusterfs", NULL };

static int check(const PoolDef *def, Fault *f) {
        bool nfs = streq(def->source_format ?: "auto", "auto") || streq(def->source_format, "nfs");
        const char *version = def->protocol_version;

        /* Names of shares and volumes, which the others serve, need not begin so. */
        if ((nfs && def->source_dir[0] != '/') || !def->source_dir[0] || strpbrk(def->source_dir, "\n\t"))
                return xml_fault_below(&def->head, "source/dir/@path", f, FAULT_INVALID_DEFINITION, "\"%.200s\" is no folder of a server%s",
                                       def->source_dir, nfs ? ": it begins with a '/'" : "");
        if (version && !nfs)
                return xml_fault_below(&def->head, "source/protocol", f, FAULT_INVALID_DEFINITION, "only NFS has a version to choose");
        if (version && (strspn(version, "0123456789.") != strlen(version) || *version < '2' || *version > '9'))
                return xml_fault_below(&def->head, "source/protocol/@ver", f, FAULT_INVALID_DEFINITION, "\"%s\" is no version of NFS, like 4 or 4.2", version);
        return 0;
}

/* An IPv6 address needs brackets before a ':'. */
static char *server_of(const char *host, const char *format) {
        return strchr(host, ':') && !streq(format, "cifs") ? strf("[%s]", host) : strdup(host);
}

static int mount_plan(const PoolDef *def, MountPlan *ret) {
        const char *format = streq(def->source_format, "auto") ? "nfs" : def->source_format, *dir = def->source_dir;
        _cleanup_free_ char *server = server_of(pool_host(def)->name, format);
        _cleanup_free_ char *version = def->protocol_version ? strf("nfsvers=%s", def->protocol_version) : NULL;

        if (!server || (def->protocol_version && !version))
                return -ENOMEM;
        ret->what = streq(format, "cifs") ? strf("//%s/%s", server, dir + strspn(dir, "/")) : strf("%s:%s", server, dir);
        ret->type = strdup(format);
        return ret->what && ret->type ? pool_mount_options(def, version, &ret->options) : -ENOMEM;
}

/* "Export list for HOST:" and lines "PATH CLIENTS". */
static int find_exports(const PoolDef *hints, Commands *c) {
        return commands_add(c, "showmount", "--no-headers", "--exports", pool_host(hints)->name, NULL);
}

static int add_export(const PoolDef *hints, const char *path, size_t length, RecordList *ret) {
        PoolDef *found = NULL;
        void *copy = NULL;
        int r;

        r = record_copy(&hints->head, &copy);
        if (r < 0)
                return r;
        found = copy;
        free(found->source_dir);
        found->source_dir = strndup(path, length);
        return found->source_dir ? record_list_add(ret, found) : (pool_def_free(found), -ENOMEM);
}

static int found_exports(const PoolDef *hints, char *const *outputs, RecordList *ret) {
        int r = 0;

        for (const char *line = outputs[0]; line && *line && r >= 0; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                size_t length = strcspn(line, " \t\n");

                if (*line == '/')
                        r = add_export(hints, line, length, ret);
        }
        return r;
}

const PoolOps pool_netfs = {
        .type = POOL_NETFS, .needs = ELEMENT_PATH | ELEMENT_HOST | ELEMENT_DIR, .knows = ELEMENT_MOUNT | ELEMENT_PROTOCOL | ELEMENT_COW,
        .formats = formats, .scan = SCAN_FOLDER, .volumes = VOLUME_FILE, .network = true, .check = check, .mount = mount_plan,
        .find = find_exports, .found = found_exports,
};
