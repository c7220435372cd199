/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockspaces.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "log.h"
#include "mem.h"
#include "store.h"
#include "str.h"

typedef struct Entry {
        Lockspace *lockspace;
        const char *name;        /* the lockspace's */
        bool adding;             /* nobody sees it yet */
        UT_hash_handle hh;
} Entry;

struct Lockspaces {
        LockspacesOptions options;
        LockspaceContext context;
        Store *store;
        char *folder;            /* of the default one */
        Entry *entries;          /* hash by name, in the order they came */
        bool was_busy;
};

/* --- lifetime --- */

static void on_busy(Lockspace *l, void *userdata) {
        Lockspaces *s = userdata;
        bool busy = false;

        for (Entry *e = s->entries; e; e = e->hh.next)
                busy = busy || lockspace_is_busy(e->lockspace);
        if (busy != s->was_busy)
                s->options.busy(busy, s->options.userdata);
        s->was_busy = busy;
}

static void on_changed(Lockspace *l, void *userdata) {
        Lockspaces *s = userdata;

        s->options.context.changed(l, s->options.context.userdata);
}

static void on_lost(Lockspace *l, const char *resource, const Lease *lease, void *userdata) {
        Lockspaces *s = userdata;

        s->options.context.lost(l, resource, lease, s->options.context.userdata);
}

int lockspaces_new(const LockspacesOptions *options, Lockspaces **ret) {
        _cleanup_free_ char *folder = strf("%s/lockspaces", options->state_dir);
        _cleanup_(lockspaces_freep) Lockspaces *s = NULL;
        char host[256] = "";
        int r;

        assert(options && ret);

        s = new0(Lockspaces, 1);
        if (!s)
                return -ENOMEM;
        (void) gethostname(host, sizeof(host) - 1);
        s->options = *options;
        s->context = options->context;
        s->context.host = strdup(host);
        s->context.changed = on_changed;
        s->context.busy = on_busy;
        s->context.lost = on_lost;
        s->context.userdata = s;
        s->folder = strf("%s/lock/%s", options->state_dir, LOCKSPACE_DEFAULT);
        if (!s->context.host || !s->folder || !folder)
                return -ENOMEM;
        r = store_new(folder, ".json", &s->store);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

static void remove_entry(Lockspaces *s, Entry *e) {
        HASH_DEL(s->entries, e);
        lockspace_free(e->lockspace);
        free(e);
}

Lockspaces *lockspaces_free(Lockspaces *s) {
        if (!s)
                return NULL;
        while (s->entries)
                remove_entry(s, s->entries);
        store_free(s->store);
        free(s->context.host);
        free(s->folder);
        free(s);
        return NULL;
}

/* --- the set --- */

static Entry *find(Lockspaces *s, const char *name) {
        Entry *e;

        HASH_FIND_STR(s->entries, name, e);
        return e;
}

static int make(Lockspaces *s, const char *name, const char *path, bool builtin, Entry **ret) {
        Entry *e = new0(Entry, 1);
        int r;

        if (!e)
                return -ENOMEM;
        r = lockspace_new(&s->context, name, path, builtin, &e->lockspace);
        if (r < 0) {
                free(e);
                return r;
        }
        e->name = lockspace_name(e->lockspace);
        HASH_ADD_KEYPTR(hh, s->entries, e->name, strlen(e->name), e);
        *ret = e;
        return lockspace_load(e->lockspace);
}

static int check_path(const char *path, Fault *f) {
        if (path[0] == '/' && is_utf8(path) && strlen(path) < 4096 && !strstr(path, "/../"))
                return 0;
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.200s\" is no absolute path of a folder", path);
}

static int on_file(const char *name, const char *text, size_t length, int error, void *userdata) {
        json_auto_t *json = text ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
        const char *path = json_string_value(json_object_get(json, "path"));
        _cleanup_fault_ Fault f = FAULT_INIT;
        Lockspaces *s = userdata;
        Entry *e;
        int r = error;

        if (r >= 0)
                r = path ? check_path(path, &f) : -EUCLEAN;
        if (r >= 0)
                r = lockspace_name_check(name, &f);
        if (r >= 0)
                r = find(s, name) ? -EEXIST : make(s, name, path, false, &e);
        if (r < 0)
                log_error("the lockspace %s can't be taken up: %s", name, fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

int lockspaces_load(Lockspaces *s) {
        Entry *e;
        int r;

        assert(s);

        r = make(s, LOCKSPACE_DEFAULT, s->folder, true, &e);
        return r < 0 ? r : store_scan(s->store, on_file, s);
}

Lockspace *lockspaces_peek(Lockspaces *s, const char *name) {
        Entry *e = find(s, name);

        return e && !e->adding ? e->lockspace : NULL;
}

int lockspaces_find(Lockspaces *s, const char *name, Lockspace **ret, Fault *f) {
        *ret = lockspaces_peek(s, name);
        if (*ret)
                return 0;
        fault_set(f, FAULT_NO_SUCH_LOCKSPACE, ENOENT, "there is no lockspace \"%.64s\"", name);
        fault_hint(f, "add it with AddLockspace(), or virtctl add-lockspace");
        return -ENOENT;
}

Lockspace *lockspaces_next(Lockspaces *s, const Lockspace *l) {
        Entry *e = l ? find(s, lockspace_name(l)) : NULL;

        for (e = l ? (e ? e->hh.next : NULL) : s->entries; e && e->adding; e = e->hh.next)
                ;
        return e ? e->lockspace : NULL;
}

/* --- adding and removing --- */

typedef struct Adding {
        Lockspaces *all;
        LockspaceAdded done;
        void *userdata;
} Adding;

static int save(Lockspaces *s, const Lockspace *l, Fault *f) {
        json_auto_t *json = json_pack("{s:s}", "path", lockspace_path(l));
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        int r = text ? store_write(s->store, lockspace_name(l), text, strlen(text)) : -ENOMEM;

        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the lockspace can't be written down: %s", strerror(-r)) : 0;
}

static void ignore_lease(const Lockspace *l, const char *resource, const Lease *lease, void *userdata) {}

static int on_forget(sd_event_source *source, void *userdata) {
        lockspace_free(userdata);
        sd_event_source_unref(source);
        return 0;
}

/* Later: its worker is on the stack. */
static void forget(Lockspaces *s, Entry *e) {
        sd_event_source *later;

        HASH_DEL(s->entries, e);
        if (sd_event_add_defer(s->context.event, &later, on_forget, e->lockspace) < 0)
                log_warning("the lockspace %s stays in memory", e->name);
        free(e);
}

static void on_tried(Lockspace *l, const Fault *why, void *userdata) {
        Adding *a = userdata;
        Entry *e = ASSERT_PTR(find(a->all, lockspace_name(l))); /* nobody else finds it, so as to remove it, while it is added */
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (why)
                (void) fault_copy(&f, why);
        else
                (void) save(a->all, l, &f);
        e->adding = false;
        if (!fault_is_set(&f))
                a->all->options.added(l, a->all->options.userdata);
        a->done(fault_is_set(&f) ? NULL : l, fault_is_set(&f) ? &f : NULL, a->userdata);
        if (fault_is_set(&f))
                forget(a->all, e);
        free(a);
}

static int check_new(Lockspaces *s, const char *name, const char *path, Fault *f) {
        int r;

        r = lockspace_name_check(name, f);
        if (r >= 0)
                r = check_path(path, f);
        if (r < 0)
                return r;
        if (HASH_COUNT(s->entries) >= LOCKSPACES_MAX)
                return fault_set(f, FAULT_LIMIT, E2BIG, "there are %u lockspaces already", LOCKSPACES_MAX);
        for (Entry *e = s->entries; e; e = e->hh.next)
                if (streq(e->name, name) || streq(lockspace_path(e->lockspace), path))
                        return fault_set(f, FAULT_LOCKSPACE_EXISTS, EEXIST, "there is a lockspace %s in %s already", e->name,
                                         lockspace_path(e->lockspace));
        return 0;
}

int lockspaces_add(Lockspaces *s, const char *name, const char *path, LockspaceAdded done, void *userdata, Fault *f) {
        Adding *a = NULL;
        Entry *e = NULL;
        int r;

        assert(s && name && path && done);

        r = check_new(s, name, path, f);
        if (r < 0)
                return r;
        a = new0(Adding, 1);
        r = a ? make(s, name, path, false, &e) : -ENOMEM;
        if (r >= 0) {
                *a = (Adding) { s, done, userdata };
                e->adding = true;
                r = lockspace_list(e->lockspace, ignore_lease, on_tried, a, f);
        }
        if (r < 0) {
                free(a);
                if (e)
                        remove_entry(s, e);
        }
        return r;
}

int lockspaces_remove(Lockspace *l, Fault *f) {
        Lockspaces *s = lockspace_context(l)->userdata;
        Entry *e;
        int r;

        if (lockspace_is_builtin(l))
                return fault_set(f, FAULT_INVALID_STATE, EPERM, "the lockspace %s is always there", lockspace_name(l));
        if (lockspace_is_busy(l))
                return fault_set(f, FAULT_BUSY, EBUSY, "the lockspace %s has %zu leases, or requests under way", lockspace_name(l),
                                 lockspace_leases(l));
        r = store_remove(s->store, lockspace_name(l));
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the lockspace can't be forgotten: %s", strerror(-r));
        e = ASSERT_PTR(find(s, lockspace_name(l)));
        s->options.removed(l, s->options.userdata);
        remove_entry(s, e);
        return 0;
}
