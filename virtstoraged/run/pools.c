/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pools.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../plan/storage.h"
#include "formats.h"
#include "log.h"
#include "mem.h"
#include "pool-refresh.h"
#include "str.h"
#include "volumes.h"
#include "xml-read.h"

/* --- what is heard --- */

/* Told of each volume for which it is something else. */
static void update_uses(Volume *v) {
        char **users = NULL;

        if (uses_of(v->pool->all->uses, v->info.path, &users) < 0 || strv_equal(users, v->used_by)) {
                strv_free(users);
                return;
        }
        strv_free(v->used_by);
        v->used_by = users;
        pools_volume_changed(v, VOLUME_CHANGED_USED_BY);
}

static void on_uses_changed(void *userdata) {
        Pools *s = userdata;

        REGISTRY_FOREACH(Pool, p, s->set.registry) {
                for (Volume *v = volumes_first(p); v; v = volumes_next(v))
                        update_uses(v);
                pool_uses_known(p);
        }
}

static void on_devices_refreshed(void *object, const Fault *why, _unused_ void *userdata) {
        Pool *p = object;

        if (why)
                log_debug("pool %s: %s", p->name, fault_text(why));
}

static void on_devices_changed(void *userdata) {
        Pools *s = userdata;

        REGISTRY_FOREACH(Pool, p, s->set.registry)
                if (p->active && pool_has_devices(p))
                        (void) pool_refresh(p, on_devices_refreshed, NULL, NULL);
}

void pools_watch_devices(Pools *s) {
        int r = s->devices ? 0 : device_watch_new(s->event, on_devices_changed, s, &s->devices);

        if (r < 0)
                (void) log_warning_errno(r, "changes of devices can't be followed: %m");
}

/* --- telling --- */

void pools_busy_changed(Pools *s) {
        bool busy = false;

        REGISTRY_FOREACH(Pool, p, s->set.registry)
                busy = busy || p->live || p->operation || p->works;
        REGISTRY_FOREACH(Secret, i, s->secrets->registry)
                busy = busy || i->value; /* an ephemeral one */
        if (busy != s->was_busy)
                s->watcher.busy(busy, s->watcher_userdata);
        s->was_busy = busy;
}

void pools_changed(Pool *p, unsigned what) {
        definitions_changed(p, what);
        pools_busy_changed(p->all);
}

void pools_volume_added(Volume *v) {
        Pools *s = v->pool->all;

        (void) uses_of(s->uses, v->info.path, &v->used_by);
        if (!s->set.loading)
                s->watcher.volume_added(v, s->watcher_userdata);
}

void pools_volume_removed(Volume *v) {
        Pools *s = v->pool->all;

        if (!s->set.loading)
                s->watcher.volume_removed(v, s->watcher_userdata);
}

void pools_volume_changed(Volume *v, unsigned what) {
        Pools *s = v->pool->all;

        if (!s->set.loading)
                s->watcher.volume_changed(v, what, s->watcher_userdata);
}

/* --- the set --- */

static Volume *find_in(const Pool *p, const char *path) {
        const char *rest = p->live && p->live->path ? str_after(path, p->live->path) : NULL;
        Volume *v = rest && *rest == '/' ? volumes_find(p, rest + 1) : NULL;

        if (v && streq(v->info.path, path))
                return v;
        /* Not all kinds of pools have their volumes' names in paths. */
        for (v = pool_ops(pool_def(p)->type)->scan == SCAN_FOLDER ? NULL : volumes_first(p); v; v = volumes_next(v))
                if (streq(v->info.path, path))
                        return v;
        return NULL;
}

int pools_find_volume(Pools *s, const char *path, Volume **ret, Fault *f) {
        REGISTRY_FOREACH(Pool, p, s->set.registry) {
                *ret = p->active ? find_in(p, path) : NULL;
                if (*ret)
                        return 0;
        }
        fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "no active pool has the volume %.200s", path);
        return -ENOENT;
}

/* --- definitions --- */

static int parse(const char *text, size_t length, Definition **ret, Fault *f) {
        return pool_parse(text, length, (PoolDef **) ret, f);
}

static int check_user(const Pools *s, const PoolDef *def, Fault *f) {
        if (!s->user || pool_ops(def->type)->any_user)
                return 0;
        return xml_fault_below(&def->head, "@type", f, FAULT_NOT_SUPPORTED, "a user's own daemon has no pools of type '%s', which need rights over the host",
                               pool_type_to_string(def->type));
}

static int complete(Definitions *s, Definition *def, _unused_ const Defined *known, Fault *f) {
        int r = check_user((const Pools *) s, (const PoolDef *) def, f);

        if (r >= 0 && sd_id128_is_null(def->uuid) && sd_id128_randomize(&def->uuid) < 0)
                r = fault_set(f, FAULT_POOL, EIO, "no uuid can be made");
        return r;
}

static bool is_same_place(const PoolDef *a, const PoolDef *b) {
        return a->path && b->path && streq(a->path, b->path);
}

/* Two pools over one folder would each think that it knows what is in it. */
static int check_others(Definitions *s, const Definition *definition, Fault *f) {
        const PoolDef *def = (const PoolDef *) definition;

        REGISTRY_FOREACH(Pool, p, s->registry) {
                if (!p->config || sd_id128_equal(p->uuid, def->uuid))
                        continue;
                if (pool_ops(def->type)->scan == SCAN_FOLDER && is_same_place(def, p->config))
                        return xml_fault_below(&def->head, "target/path", f, FAULT_POOL_EXISTS, "%s is where the pool \"%s\" is", def->path, p->name);
        }
        return 0;
}

static void made(Defined *o) {
        Pool *p = (Pool *) o;

        p->secret = -1;
        formats_load(p);
}

static void clear(Defined *o) {
        pool_clear((Pool *) o);
}

/* It may be somewhere else now. */
static void redefined(Defined *o) {
        if (!o->live)
                formats_load((Pool *) o);
}

static bool is_busy(const Defined *o) {
        return ((const Pool *) o)->operation;
}

static int start(Defined *o, DefinedDone done, void *userdata, Fault *f) {
        return pool_start((Pool *) o, done, userdata, f);
}

/* What is ours to undo stands before the definition. */
#define NOTE_MOUNTED "<!-- mounted by us -->\n"
#define NOTE_STARTED "<!-- started by us -->\n"
/* … and that it is only on its way. */
#define NOTE_STARTING "<!-- being started -->\n"

static const char *note(const Defined *o) {
        static char text[sizeof(NOTE_MOUNTED NOTE_STARTED NOTE_STARTING)];
        const Pool *p = (const Pool *) o;

        (void) snprintf(text, sizeof(text), "%s%s%s", p->mounted_by_us ? NOTE_MOUNTED : "", p->started_by_us ? NOTE_STARTED : "",
                        pool_is_starting(p) ? NOTE_STARTING : "");
        return text;
}

static int adopt(Defined *o, Definition *live, const char *text, Fault *f) {
        Pool *p = (Pool *) o;

        p->mounted_by_us = strstr(text, NOTE_MOUNTED);
        p->started_by_us = strstr(text, NOTE_STARTED);
        return pool_adopt(p, (PoolDef *) live, strstr(text, NOTE_STARTING), f);
}

static const DefinitionKind kind = {
        .noun = "pool",
        .folder = "pools",
        .status_folder = "storage/status",
        .missing = FAULT_NO_SUCH_POOL,
        .exists = FAULT_POOL_EXISTS,
        .size = sizeof(Pool),
        .max = POOLS_MAX,
        .parse = parse,
        .complete = complete,
        .check_others = check_others,
        .made = made,
        .clear = clear,
        .redefined = redefined,
        .is_busy = is_busy,
        .start = start,
        .adopt = adopt,
        .note = note,
};

int pools_load(Pools *s) {
        int r = definitions_load(&s->set);

        definitions_autostart(&s->set);
        return r;
}

/* --- lifetime --- */

Pools *pools_free(Pools *s) {
        if (!s)
                return NULL;
        definitions_clear(&s->set);
        store_free(s->formats);
        uses_free(s->uses);
        device_watch_free(s->devices);
        sd_bus_unref(s->bus);
        free(s->tag);
        free(s);
        return NULL;
}

static int open_stores(Pools *s, const PoolsOptions *o) {
        _cleanup_free_ char *formats = strf("%s/storage/formats", o->state_dir);
        int r = formats ? store_new(formats, ".json", &s->formats) : -ENOMEM;

        return r < 0 ? r : definitions_init(&s->set, &kind, o->config_dir, o->run_dir, o->event, &o->watcher.pools, o->watcher_userdata);
}

/* Other hosts and users may work in the same folder. */
static char *make_tag(void) {
        sd_id128_t machine = SD_ID128_NULL;

        (void) sd_id128_get_machine_app_specific(SD_ID128_MAKE(3c, 7e, 0e, 55, 8a, 2f, 4d, 41, 9b, 0c, 1d, f0, 2c, 94, 66, 01), &machine);
        return strf("%02x%02x%02x%02x.%u.", machine.bytes[0], machine.bytes[1], machine.bytes[2], machine.bytes[3], (unsigned) geteuid());
}

int pools_new(const PoolsOptions *options, Pools **ret, Fault *f) {
        _cleanup_(pools_freep) Pools *s = new0(Pools, 1);
        int r;

        assert(options && ret);

        if (!s)
                return fault_oom(f);
        s->event = options->event;
        s->bus = sd_bus_ref(options->bus);
        s->user = options->user;
        s->by_unit = options->bus && !options->user && sd_booted() > 0;
        s->settings = options->settings;
        s->jobs = options->jobs;
        s->secrets = options->secrets;
        s->watcher = options->watcher;
        s->watcher_userdata = options->watcher_userdata;
        s->tag = make_tag();
        r = s->tag ? open_stores(s, options) : -ENOMEM;
        if (r >= 0)
                r = uses_new(s->bus, on_uses_changed, s, &s->uses);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "%s", strerror(-r));
        *ret = TAKE_PTR(s);
        return 0;
}
