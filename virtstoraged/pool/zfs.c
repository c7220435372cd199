/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "pool.h"
#include "str.h"
#include "xml-read.h"

/* A pool, or a data set of one, of ZFS. Sparse volumes reserve nothing. */

static const char *set(const PoolDef *def) {
        return def->source_name;
}

static int check(const PoolDef *def, Fault *f) {
        if (strspn(set(def), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.:-/") == strlen(set(def)) &&
            set(def)[0] != '-' && set(def)[0] != '/')
                return 0;
        return xml_fault_below(&def->head, "source/name", f, FAULT_INVALID_DEFINITION, "\"%s\" can't be the name of a data set of ZFS", set(def));
}

/* What holds volumes has no files of its own: it is not mounted, which is systemd's to do anyway. */
static int build(const PoolDef *def, bool overwrite, Commands *c) {
        _cleanup_strv_ char **argv = NULL;
        int r;

        if (strchr(set(def), '/')) /* of a pool that is there */
                return commands_add(c, "zfs", "create", "-o", "canmount=off", set(def), NULL);
        r = strv_push(&argv, "zpool");
        if (r >= 0)
                r = strv_push(&argv, "create");
        if (r >= 0)
                r = strv_push(&argv, "-O");
        if (r >= 0)
                r = strv_push(&argv, "canmount=off");
        if (r >= 0 && overwrite)
                r = strv_push(&argv, "-f");
        if (r >= 0)
                r = strv_push(&argv, set(def));
        RECORD_FOREACH(SourceDevice, d, def->devices)
                if (r >= 0)
                        r = strv_push(&argv, d->path);
        return r < 0 ? r : commands_add_strv(c, TAKE_PTR(argv));
}

static int destroy(const PoolDef *def, Commands *c) {
        return commands_add(c, strchr(set(def), '/') ? "zfs" : "zpool", "destroy", set(def), NULL);
}

static int list(const PoolDef *def, Commands *c) {
        int r = commands_add(c, "zfs", "get", "-Hp", "-o", "property,value", "used,available", set(def), NULL);

        return r < 0 ? r : commands_add(c, "zfs", "list", "-Hp", "-d", "1", "-t", "volume", "-o", "name,volsize,used,guid,origin", set(def), NULL);
}

/* The next word up to a tab or the end of its line; NULL: the line has no more. */
static char *next_word(const char **at) {
        size_t n = strcspn(*at, "\t\n");
        char *word = n > 0 ? strndup(*at, n) : NULL;

        *at += n;
        if (**at == '\t')
                (*at)++;
        return word;
}

static int add_volume(const PoolDef *def, const char *line, PoolInfo *ret) {
        _cleanup_free_ char *full = next_word(&line), *size = next_word(&line), *used = next_word(&line), *guid = next_word(&line), *origin = next_word(&line);
        const char *name = full ? str_after(full, set(def)) : NULL;
        VolumeInfo v = { .kind = VOLUME_BLOCK, .format = FORMAT_RAW };

        if (!name || *name != '/' || !name[1] || strchr(name + 1, '/') || !size || !used || !guid || !origin ||
            parse_u64(size, 10, &v.capacity) < 0 || parse_u64(used, 10, &v.allocation) < 0)
                return -EBADMSG;
        v.physical = v.capacity;
        v.name = strdup(name + 1);
        v.path = strf("%s/%s", def->path, name + 1);
        v.key = strf("zfs-%s", guid);
        if (!streq(origin, "-")) {
                v.backing_path = strf("/dev/zvol/%s", origin);
                v.backing_format = FORMAT_RAW;
        }
        if (v.name && v.path && v.key && (v.backing_path || streq(origin, "-")))
                return pool_info_add(ret, &v);
        volume_info_clear(&v);
        return -ENOMEM;
}

static int read_property(const char *text, const char *name, uint64_t *ret) {
        _cleanup_free_ char *key = strf("%s\t", name), *value = NULL;
        const char *at = key ? strstr(text, key) : NULL;

        if (!at)
                return -EBADMSG;
        at += strlen(key);
        value = next_word(&at);
        return value && parse_u64(value, 10, ret) >= 0 ? 0 : -EBADMSG;
}

static int parse(const PoolDef *def, char *const *outputs, PoolInfo *ret, Fault *f) {
        int r = read_property(outputs[0], "used", &ret->allocation);

        if (r >= 0)
                r = read_property(outputs[0], "available", &ret->available);
        if (r >= 0)
                ret->capacity = ret->allocation + ret->available;
        for (const char *line = outputs[1]; *line && r >= 0; line += strcspn(line, "\n"), line += *line == '\n')
                r = add_volume(def, line, ret);
        return r == -EBADMSG ? fault_set(f, FAULT_POOL, EBADMSG, "what zfs says of %s can't be read", set(def)) : r;
}

static int create(const PoolDef *def, _unused_ const PoolInfo *now, const VolumePlan *v, Commands *c, Fault *f) {
        _cleanup_free_ char *name = strf("%s/%s", set(def), v->name), *size = strf("%" PRIu64, v->capacity);

        if (v->origin)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "volumes of ZFS are made from snapshots, which are not volumes: clone it instead");
        return name && size ? commands_add(c, "zfs", "create", v->allocation < v->capacity ? "-s" : "", "-V", size, name, NULL) : -ENOMEM;
}

static int remove_volume(const PoolDef *def, const VolumeInfo *v, Commands *c) {
        _cleanup_free_ char *name = strf("%s/%s", set(def), v->name);

        return name ? commands_add(c, "zfs", "destroy", name, NULL) : -ENOMEM;
}

static int resize(const PoolDef *def, const VolumeInfo *v, uint64_t capacity, Commands *c, _unused_ Fault *f) {
        _cleanup_free_ char *name = strf("%s/%s", set(def), v->name), *size = strf("volsize=%" PRIu64, capacity);

        return name && size ? commands_add(c, "zfs", "set", size, name, NULL) : -ENOMEM;
}

const PoolOps pool_zfs = {
        .type = POOL_ZFS, .needs = ELEMENT_NAME | ELEMENT_PATH, .knows = ELEMENT_DEVICE | ELEMENT_DEVICES, .scan = SCAN_COMMANDS, .volumes = VOLUME_BLOCK,
        .device_folder = "/dev/zvol/", .check = check, .build = build, .destroy = destroy, .list = list, .parse = parse, .create = create,
        .remove = remove_volume, .resize = resize,
};
