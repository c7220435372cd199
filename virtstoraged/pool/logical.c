/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "mem.h"
#include "report.h"
#include "str.h"
#include "xml-read.h"

/* A volume group of LVM. Where it has a thin pool, volumes that need not have all their space at once are in it. */

static const char *const formats[] = { "lvm2", "auto", "unknown", NULL };

#define SIZES "--units=b", "--nosuffix", "--reportformat=json"

static const char *group(const PoolDef *def) {
        return def->source_name;
}

static int check(const PoolDef *def, Fault *f) {
        _cleanup_free_ char *folder = strf("/dev/%s", group(def));

        if (!folder)
                return fault_oom(f);
        if (strspn(group(def), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-") != strlen(group(def)) || group(def)[0] == '-' ||
            group(def)[0] == '.')
                return xml_fault_below(&def->head, "source/name", f, FAULT_INVALID_DEFINITION, "\"%s\" can't be the name of a volume group", group(def));
        return streq(def->path, folder) ? 0 : xml_fault_below(&def->head, "target/path", f, FAULT_INVALID_DEFINITION, "the volumes of the group %s are in %s",
                                                              group(def), folder);
}

/* --- the group --- */

static int build(const PoolDef *def, bool overwrite, Commands *c) {
        _cleanup_strv_ char **create = NULL;
        int r;

        r = strv_push(&create, "vgcreate");
        if (r >= 0)
                r = strv_push(&create, group(def));
        RECORD_FOREACH(SourceDevice, d, def->devices) {
                if (r >= 0)
                        r = commands_add(c, "pvcreate", overwrite ? "--yes" : "", overwrite ? "-ff" : "", d->path, NULL);
                if (r >= 0)
                        r = strv_push(&create, d->path);
        }
        return r < 0 ? r : commands_add_strv(c, TAKE_PTR(create));
}

static int is_active(const PoolDef *def, Commands *c) {
        return commands_add(c, "lvs", "--noheadings", "--options=lv_active", group(def), NULL);
}

static bool active(_unused_ const PoolDef *def, char *const *outputs) {
        return outputs[0] && strstr(outputs[0], "active");
}

static int start(const PoolDef *def, Commands *c) {
        return commands_add(c, "vgchange", "--quiet", "--activate=y", group(def), NULL);
}

static int stop(const PoolDef *def, Commands *c) {
        return commands_add(c, "vgchange", "--quiet", "--activate=n", group(def), NULL);
}

static int destroy(const PoolDef *def, Commands *c) {
        int r = commands_add(c, "vgremove", "--quiet", "--force", group(def), NULL);

        RECORD_FOREACH(SourceDevice, d, def->devices)
                if (r >= 0)
                        r = commands_add(c, "pvremove", "--quiet", d->path, NULL);
        return r;
}

/* --- what is in it --- */

static int list(const PoolDef *def, Commands *c) {
        int r = commands_add(c, "vgs", SIZES, "--options=vg_size,vg_free", group(def), NULL);

        return r < 0 ? r : commands_add(c, "lvs", SIZES, "--options=lv_name,lv_uuid,lv_size,lv_attr,origin,segtype,pool_lv,data_percent", group(def), NULL);
}

static const json_t *first(const json_t *report, const char *key) {
        return json_object_get(json_array_get(json_object_get(report, "report"), 0), key);
}

static int set_path(const PoolDef *def, const char *name, char **ret) {
        *ret = name ? strf("%s/%s", def->path, name) : NULL;
        return name && !*ret ? -ENOMEM : 0;
}

/* One that is not active has no device. */
static bool is_off(const json_t *lv) {
        const char *attributes = report_text(lv, "lv_attr");

        return attributes && strlen(attributes) > 4 && attributes[4] != 'a';
}

static int fill(const PoolDef *def, const json_t *lv, VolumeInfo *v) {
        uint64_t percent;
        int r;

        r = report_number(lv, "lv_size", &v->capacity);
        if (r < 0)
                return r;
        v->allocation = v->physical = v->capacity;
        r = free_and_strdup(&v->name, report_text(lv, "lv_name"));
        if (r >= 0)
                r = set_path(def, v->name, &v->path);
        if (r >= 0)
                r = free_and_strdup(&v->key, report_text(lv, "lv_uuid"));
        if (r >= 0)
                r = set_path(def, report_text(lv, "origin"), &v->backing_path);
        if (r >= 0)
                r = free_and_strdup(&v->thin_pool, report_text(lv, "pool_lv"));
        if (r >= 0 && is_off(lv))
                r = free_and_strdup(&v->problem, "is not active");
        if (v->backing_path)
                v->backing_format = FORMAT_RAW;
        if (v->thin_pool)
                v->allocation = report_number(lv, "data_percent", &percent) >= 0 && percent <= 100 ? v->capacity / 100 * percent : 0;
        return r;
}

static int add_volume(const PoolDef *def, const json_t *lv, PoolInfo *ret) {
        VolumeInfo v = { .kind = VOLUME_BLOCK, .format = FORMAT_RAW };
        const char *name = report_text(lv, "lv_name"), *type = report_text(lv, "segtype");
        int r;

        if (!name)
                return -EBADMSG;
        if (streq_null(type, "thin-pool"))
                return ret->thin_pool ? 0 : free_and_strdup(&ret->thin_pool, name);
        if (streq_null(type, "cache-pool") || streq_null(type, "vdo-pool"))
                return 0; /* what others are made of */
        r = fill(def, lv, &v);
        if (r >= 0)
                return pool_info_add(ret, &v);
        volume_info_clear(&v);
        return r;
}

static int parse(const PoolDef *def, char *const *outputs, PoolInfo *ret, Fault *f) {
        json_auto_t *vgs = NULL, *lvs = NULL;
        const json_t *lv, *vg;
        size_t i;
        int r;

        r = report_parse("vgs", outputs[0], &vgs, f);
        if (r >= 0)
                r = report_parse("lvs", outputs[1], &lvs, f);
        if (r < 0)
                return r;
        vg = json_array_get(first(vgs, "vg"), 0);
        r = report_number(vg, "vg_size", &ret->capacity);
        if (r >= 0)
                r = report_number(vg, "vg_free", &ret->available);
        if (r >= 0)
                ret->allocation = ret->capacity - MIN(ret->available, ret->capacity);
        json_array_foreach(first(lvs, "lv"), i, lv)
                if (r >= 0)
                        r = add_volume(def, lv, ret);
        return r == -EBADMSG ? fault_set(f, FAULT_POOL, EBADMSG, "what vgs and lvs say of %s lacks something", group(def)) : r;
}

/* --- volumes --- */

static int create(const PoolDef *def, const PoolInfo *now, const VolumePlan *v, Commands *c, _unused_ Fault *f) {
        _cleanup_free_ char *name = strf("--name=%s", v->name), *size = strf("--size=%" PRIu64 "b", v->capacity),
                            *virtual = strf("--virtualsize=%" PRIu64 "b", v->capacity);
        _cleanup_free_ char *target = strf("%s/%s", group(def), v->origin ? v->origin->name : now->thin_pool ?: "");
        bool thin = v->allocation < v->capacity && now->thin_pool;

        if (!name || !size || !virtual || !target)
                return -ENOMEM;
        if (v->origin && v->origin->thin_pool)
                return commands_add(c, "lvcreate", "--quiet", "--snapshot", "--setactivationskip=n", name, target, NULL);
        if (v->origin) {
                /* What differs from it has to go somewhere. */
                _cleanup_free_ char *room = strf("--size=%" PRIu64 "b", v->allocation > 0 ? MIN(v->allocation, v->capacity) : v->capacity);

                return room ? commands_add(c, "lvcreate", "--quiet", "--snapshot", room, name, target, NULL) : -ENOMEM;
        }
        if (thin)
                return commands_add(c, "lvcreate", "--quiet", "--yes", "--thin", virtual, name, target, NULL);
        return commands_add(c, "lvcreate", "--quiet", "--yes", "--wipesignatures=y", "--zero=y", size, name, group(def), NULL);
}

static char *full_name(const PoolDef *def, const VolumeInfo *v) {
        return strf("%s/%s", group(def), v->name);
}

static int remove_volume(const PoolDef *def, const VolumeInfo *v, Commands *c) {
        _cleanup_free_ char *name = full_name(def, v);

        return name ? commands_add(c, "lvremove", "--quiet", "--force", name, NULL) : -ENOMEM;
}

static int resize(const PoolDef *def, const VolumeInfo *v, uint64_t capacity, Commands *c, _unused_ Fault *f) {
        _cleanup_free_ char *name = full_name(def, v), *size = strf("--size=%" PRIu64 "b", capacity);

        if (!name || !size)
                return -ENOMEM;
        return capacity < v->capacity ? commands_add(c, "lvreduce", "--quiet", "--force", "--yes", size, name, NULL)
                                      : commands_add(c, "lvextend", "--quiet", size, name, NULL);
}

/* --- what there is --- */

static int find(_unused_ const PoolDef *hints, Commands *c) {
        return commands_add(c, "pvs", "--reportformat=json", "--options=pv_name,vg_name", NULL);
}

static int add_found(const json_t *pv, RecordList *ret) {
        const char *name = report_text(pv, "vg_name"), *device = report_text(pv, "pv_name");
        PoolDef *def = NULL;

        if (!name || !device)
                return 0;
        for (size_t i = 0; i < ret->n && !def; i++)
                if (streq(((PoolDef *) ret->items[i])->source_name, name))
                        def = (PoolDef *) ret->items[i];
        if (!def) {
                int r;

                def = record_new(&pool_record);
                if (!def)
                        return -ENOMEM;
                r = free_and_strdup(&def->source_name, name);
                if (r >= 0)
                        r = free_and_strdup(&def->source_format, "lvm2");
                if (r < 0) {
                        pool_def_free(def);
                        return r;
                }
                r = record_list_add(ret, def);
                if (r < 0)
                        return r;
        }
        return pool_add_device(def, device);
}

static int found(_unused_ const PoolDef *hints, char *const *outputs, RecordList *ret) {
        json_auto_t *pvs = NULL;
        const json_t *pv;
        size_t i;
        int r = report_parse("pvs", outputs[0], &pvs, NULL);

        json_array_foreach(first(pvs, "pv"), i, pv)
                if (r >= 0)
                        r = add_found(pv, ret);
        return r;
}

const PoolOps pool_logical = {
        .type = POOL_LOGICAL,
        .needs = ELEMENT_NAME | ELEMENT_PATH,
        .knows = ELEMENT_DEVICE | ELEMENT_DEVICES,
        .formats = formats,
        .scan = SCAN_COMMANDS,
        .volumes = VOLUME_BLOCK,
        .device_folder = "/dev/",
        .check = check,
        .is_active = is_active,
        .active = active,
        .start = start,
        .stop = stop,
        .build = build,
        .destroy = destroy,
        .list = list,
        .parse = parse,
        .create = create,
        .remove = remove_volume,
        .resize = resize,
        .find = find,
        .found = found,
};
