/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->lost = true)
#include "registry.h"

#include <uthash.h>

#include "mem.h"

typedef struct Entry {
        char *name;
        sd_id128_t id;
        void *object;
        bool lost;                 /* set by uthash when it has no memory to add it */
        UT_hash_handle by_name, by_id;
} Entry;

struct Registry {
        Entry *names, *ids;
};

int registry_new(Registry **ret) {
        assert(ret);

        *ret = new0(Registry, 1);
        return *ret ? 0 : -ENOMEM;
}

static Entry *entry_free(Entry *e) {
        if (!e)
                return NULL;
        free(e->name);
        free(e);
        return NULL;
}
DEFINE_CLEANUP(Entry *, entry_free)

Registry *registry_free(Registry *r) {
        Entry *e, *next;

        if (!r)
                return NULL;
        HASH_CLEAR(by_name, r->names);
        HASH_ITER(by_id, r->ids, e, next) {
                HASH_DELETE(by_id, r->ids, e);
                entry_free(e);
        }
        free(r);
        return NULL;
}

static Entry *find_name(const Registry *r, const char *name) {
        Entry *e;

        HASH_FIND(by_name, r->names, name, strlen(name), e);
        return e;
}

static Entry *find_id(const Registry *r, sd_id128_t id) {
        Entry *e;

        HASH_FIND(by_id, r->ids, &id, sizeof(id), e);
        return e;
}

static int add_name(Registry *r, Entry *e) {
        HASH_ADD_KEYPTR(by_name, r->names, e->name, strlen(e->name), e);
        return e->lost ? -ENOMEM : 0;
}

int registry_add(Registry *r, const char *name, sd_id128_t id, void *object) {
        _cleanup_(entry_freep) Entry *e = NULL;

        assert(r && name && object && !sd_id128_is_null(id));

        if (find_name(r, name) || find_id(r, id))
                return -EEXIST;
        e = new0(Entry, 1);
        if (!e)
                return -ENOMEM;
        e->id = id;
        e->object = object;
        e->name = strdup(name);
        if (!e->name || add_name(r, e) < 0)
                return -ENOMEM;
        HASH_ADD(by_id, r->ids, id, sizeof(e->id), e);
        if (e->lost) {
                HASH_DELETE(by_name, r->names, e);
                return -ENOMEM;
        }
        e = NULL;
        return 0;
}

void registry_remove(Registry *r, sd_id128_t id) {
        Entry *e;

        assert(r);

        e = find_id(r, id);
        if (!e)
                return;
        HASH_DELETE(by_name, r->names, e);
        HASH_DELETE(by_id, r->ids, e);
        entry_free(e);
}

int registry_rename(Registry *r, sd_id128_t id, const char *name) {
        Entry *e;
        char *copy;

        assert(r && name);

        e = find_id(r, id);
        if (!e)
                return -ENOENT;
        if (find_name(r, name))
                return -EEXIST;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        HASH_DELETE(by_name, r->names, e);
        free_and_replace(&e->name, copy);
        return add_name(r, e);
}

void *registry_find_name(const Registry *r, const char *name) {
        Entry *e;

        assert(r && name);

        e = find_name(r, name);
        return e ? e->object : NULL;
}

void *registry_find_id(const Registry *r, sd_id128_t id) {
        Entry *e;

        assert(r);

        e = find_id(r, id);
        return e ? e->object : NULL;
}

size_t registry_count(const Registry *r) {
        assert(r);

        return HASH_CNT(by_id, r->ids);
}

void *registry_begin(const Registry *r) {
        assert(r);

        return r->ids;
}

void *registry_step(void *at) {
        Entry *e, *next;

        memcpy(&e, at, sizeof(e));
        if (!e)
                return NULL;
        next = e->by_id.next;
        memcpy(at, &next, sizeof(next));
        return e->object;
}
