/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(e) ((e)->lost = true)
#include "registry.h"

#define HASH_FUNCTION(key, length, ret) ((ret) = hash_of((key), (length)))
#include <uthash.h>

#include "mem.h"

/* A function, not a macro that is written out for each use. */
static unsigned hash_of(const void *key, size_t length) {
        unsigned result;

        HASH_JEN(key, length, result);
        return result;
}

typedef struct Entry Entry;

typedef struct Name {
        Entry *entry;
        bool lost;                 /* set by uthash when it has no memory to add it */
        UT_hash_handle hh;
        char text[];
} Name;

struct Entry {
        Name *name;
        sd_id128_t id;
        void *object;
        bool lost;
        UT_hash_handle hh;
};

struct Registry {
        Name *names;
        Entry *ids;
};

int registry_new(Registry **ret) {
        assert(ret);

        *ret = new0(Registry, 1);
        return *ret ? 0 : -ENOMEM;
}

/* Out of the table, too. */
static void remove_name(Registry *r, Name *n) {
        HASH_DEL(r->names, n);
        free(n);
}

static void remove_entry(Registry *r, Entry *e) {
        HASH_DEL(r->ids, e);
        remove_name(r, e->name);
        free(e);
}

Registry *registry_free(Registry *r) {
        if (!r)
                return NULL;
        while (r->ids)
                remove_entry(r, r->ids);
        free(r);
        return NULL;
}

static Name *find_name(const Registry *r, const char *name) {
        Name *n;

        HASH_FIND_STR(r->names, name, n);
        return n;
}

static Entry *find_id(const Registry *r, sd_id128_t id) {
        Entry *e;

        HASH_FIND(hh, r->ids, &id, sizeof(id), e);
        return e;
}

/* NULL: out of memory. */
static Name *add_name(Registry *r, const char *name, Entry *e) {
        size_t length = strlen(name);
        Name *n = calloc(1, sizeof(*n) + length + 1);

        if (!n)
                return NULL;
        n->entry = e;
        memcpy(n->text, name, length + 1);
        HASH_ADD_KEYPTR(hh, r->names, n->text, length, n);
        if (!n->lost)
                return n;
        free(n);
        return NULL;
}

int registry_add(Registry *r, const char *name, sd_id128_t id, void *object) {
        _cleanup_free_ Entry *e = NULL;

        assert(r && name && object && !sd_id128_is_null(id));

        if (find_name(r, name) || find_id(r, id))
                return -EEXIST;
        e = new0(Entry, 1);
        if (!e)
                return -ENOMEM;
        e->id = id;
        e->object = object;
        e->name = add_name(r, name, e);
        if (!e->name)
                return -ENOMEM;
        HASH_ADD(hh, r->ids, id, sizeof(e->id), e);
        if (e->lost) {
                remove_name(r, e->name);
                return -ENOMEM;
        }
        e = NULL;
        return 0;
}

void registry_remove(Registry *r, sd_id128_t id) {
        Entry *e;

        assert(r);

        e = find_id(r, id);
        if (e)
                remove_entry(r, e);
}

int registry_rename(Registry *r, sd_id128_t id, const char *name) {
        Name *renamed;
        Entry *e;

        assert(r && name);

        e = find_id(r, id);
        if (!e)
                return -ENOENT;
        if (find_name(r, name))
                return -EEXIST;
        renamed = add_name(r, name, e);
        if (!renamed)
                return -ENOMEM;
        remove_name(r, e->name);
        e->name = renamed;
        return 0;
}

void *registry_find_name(const Registry *r, const char *name) {
        Name *n;

        assert(r && name);

        n = find_name(r, name);
        return n ? n->entry->object : NULL;
}

void *registry_find_id(const Registry *r, sd_id128_t id) {
        Entry *e;

        assert(r);

        e = find_id(r, id);
        return e ? e->object : NULL;
}

size_t registry_count(const Registry *r) {
        assert(r);

        return HASH_COUNT(r->ids);
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
        next = e->hh.next;
        memcpy(at, &next, sizeof(next));
        return e->object;
}
