/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volumes.h"

#include <string.h>
#define uthash_nonfatal_oom(e) ((e)->lost = true)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "job.h"
#include "mem.h"
#include "pools.h"
#include "str.h"
#include "work.h"

/* What the table needs beside the volume. */
typedef struct Entry {
        Volume volume;
        UT_hash_handle by_name, by_id;
        bool lost;                   /* set by uthash when it has no memory to add it */
} Entry;

struct VolumeTable {
        Entry *by_name, *by_id;
};

static Entry *entry_of(const Volume *v) {
        return v ? CONTAINER_OF(v, Entry, volume) : NULL;
}

/* --- finding --- */

Volume *volumes_find(const Pool *p, const char *name) {
        Entry *e = NULL;

        if (p->volumes)
                HASH_FIND(by_name, p->volumes->by_name, name, strlen(name), e);
        return e ? &e->volume : NULL;
}

Volume *volumes_find_id(const Pool *p, const char *id) {
        Entry *e = NULL;

        if (p->volumes)
                HASH_FIND(by_id, p->volumes->by_id, id, strlen(id), e);
        return e ? &e->volume : NULL;
}

static size_t volumes_count(const Pool *p) {
        return p->volumes ? HASH_CNT(by_name, p->volumes->by_name) : 0;
}

static int by_name_order(const Entry *a, const Entry *b) {
        return strcmp(a->volume.info.name, b->volume.info.name);
}

void volumes_sort(Pool *p) {
        if (p->volumes)
                HASH_SRT(by_name, p->volumes->by_name, by_name_order);
}

Volume *volumes_first(const Pool *p) {
        return p->volumes && p->volumes->by_name ? &p->volumes->by_name->volume : NULL;
}

Volume *volumes_next(const Volume *v) {
        Entry *next = entry_of(v)->by_name.next;

        return next ? &next->volume : NULL;
}

/* --- changing --- */

static void free_entry(Entry *e) {
        volume_info_clear(&e->volume.info);
        strv_free(e->volume.used_by);
        free(e->volume.id);
        free(e);
}

static int make_id(const char *name, char **ret) {
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode("/v", name, &path);

        if (r < 0)
                return r;
        *ret = strdup(path + strlen("/v/"));
        return *ret ? 0 : -ENOMEM;
}

static Volume *add(Pool *p, VolumeInfo *info) {
        Entry *e = new0(Entry, 1);

        if (!p->volumes)
                p->volumes = new0(struct VolumeTable, 1);
        if (!e || !p->volumes || make_id(info->name, &e->volume.id) < 0) {
                free(e);
                volume_info_clear(info);
                return NULL;
        }
        e->volume.pool = p;
        e->volume.info = TAKE(*info, (VolumeInfo) {});
        HASH_ADD_KEYPTR(by_name, p->volumes->by_name, e->volume.info.name, strlen(e->volume.info.name), e);
        if (!e->lost) {
                HASH_ADD_KEYPTR(by_id, p->volumes->by_id, e->volume.id, strlen(e->volume.id), e);
                if (e->lost)
                        HASH_DELETE(by_name, p->volumes->by_name, e);
        }
        if (e->lost) {
                free_entry(e);
                return NULL;
        }
        pools_volume_added(&e->volume);
        return &e->volume;
}

Volume *volumes_set(Pool *p, VolumeInfo *info) {
        Volume *v = volumes_find(p, info->name);

        if (!v) {
                v = add(p, info);
                if (v)
                        v->seen = true;
                return v;
        }
        v->seen = true;
        if (volume_info_equal(&v->info, info)) {
                v->info.atime_usec = info->atime_usec;
                v->info.mtime_usec = info->mtime_usec;
                v->info.ctime_usec = info->ctime_usec;
                volume_info_clear(info);
                return v;
        }
        /* The key of the table stays where it is. */
        free(info->name);
        info->name = TAKE_PTR(v->info.name);
        volume_info_clear(&v->info);
        v->info = TAKE(*info, (VolumeInfo) {});
        pools_volume_changed(v, VOLUME_CHANGED_INFO);
        return v;
}

void volumes_remove(Volume *v) {
        Entry *e = entry_of(v);
        Pool *p = v->pool;

        work_forget_volume(v);
        pools_volume_removed(v);
        HASH_DELETE(by_name, p->volumes->by_name, e);
        HASH_DELETE(by_id, p->volumes->by_id, e);
        free_entry(e);
}

void volumes_clear(Pool *p) {
        Volume *v;

        while ((v = volumes_first(p)))
                volumes_remove(v);
        free(TAKE_PTR(p->volumes));
}

void volumes_begin_refresh(Pool *p) {
        for (Volume *v = volumes_first(p); v; v = volumes_next(v))
                v->seen = false;
}

void volumes_end_refresh(Pool *p) {
        Volume *next;

        for (Volume *v = volumes_first(p); v; v = next) {
                next = volumes_next(v);
                if (!v->seen)
                        volumes_remove(v);
        }
}

int volumes_take(Pool *p, const json_t *json) {
        const json_t *list = json_object_get(json, "volumes"), *item;
        size_t i;

        if (!json_is_array(list))
                return -EBADMSG;
        json_array_foreach(list, i, item) {
                VolumeInfo info;
                int r = volume_info_from_json(item, &info);

                if (r < 0)
                        return r;
                if (volumes_count(p) >= POOL_VOLUMES_MAX && !volumes_find(p, info.name)) {
                        volume_info_clear(&info);
                        continue;
                }
                if (!volumes_set(p, &info))
                        return -ENOMEM;
        }
        return 0;
}

int volume_check_idle(const Volume *v, Fault *f) {
        if (v->work)
                return fault_set(f, FAULT_BUSY, EBUSY, "the volume %s is busy: %s, job %s", v->info.name, work_operation(v->work), work_job(v->work));
        return v->busy ? fault_set(f, FAULT_BUSY, EBUSY, "the volume %s is busy: %s", v->info.name, v->busy) : 0;
}

int volume_check_unused(const Volume *v, const char *what, Fault *f) {
        _cleanup_free_ char *names = strv_join(v->used_by, ", ");

        if (!v->used_by || !v->used_by[0])
                return 0;
        return fault_set(f, FAULT_IN_USE, EBUSY, "the volume %s can't be %s: it is in use by %s", v->info.name, what, names ?: v->used_by[0]);
}

int volumes_check_free(const Pool *p, const char *name, Fault *f) {
        if (volumes_find(p, name))
                return fault_set(f, FAULT_VOLUME_EXISTS, EEXIST, "there is a volume %s in the pool %s already", name, p->name);
        return strv_contains(p->creating, name) ? fault_set(f, FAULT_BUSY, EBUSY, "the volume %s is being made", name) : 0;
}
