/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pools.h"

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
#include "xml-write.h"

/* --- lifetime --- */

static void remove_pool(Pool *p) {
        registry_remove(p->all->registry, p->uuid);
        pool_clear(p);
        free(p);
}

Pools *pools_free(Pools *s) {
        if (!s)
                return NULL;
        s->loading = true; /* nobody is told any more */
        if (s->registry)
                REGISTRY_FOREACH(Pool, p, s->registry)
                        remove_pool(p);
        registry_free(s->registry);
        store_free(s->configs);
        store_free(s->autostarts);
        store_free(s->statuses);
        store_free(s->formats);
        uses_free(s->uses);
        device_watch_free(s->devices);
        sd_bus_unref(s->bus);
        free(s->tag);
        free(s);
        return NULL;
}

static int open_stores(Pools *s, const PoolsOptions *o) {
        _cleanup_free_ char *configs = strf("%s/pools", o->config_dir), *autostarts = strf("%s/pools/autostart", o->config_dir);
        _cleanup_free_ char *statuses = strf("%s/storage/status", o->run_dir), *formats = strf("%s/storage/formats", o->state_dir);
        int r;

        if (!configs || !autostarts || !statuses || !formats)
                return -ENOMEM;
        r = store_new(configs, ".xml", &s->configs);
        if (r >= 0)
                r = store_new(autostarts, ".xml", &s->autostarts);
        if (r >= 0)
                r = store_new(formats, ".json", &s->formats);
        return r < 0 ? r : store_new(statuses, ".xml", &s->statuses);
}

/* Other hosts and users may work in the same folder. */
static char *make_tag(void) {
        sd_id128_t machine = SD_ID128_NULL;

        (void) sd_id128_get_machine_app_specific(SD_ID128_MAKE(3c, 7e, 0e, 55, 8a, 2f, 4d, 41, 9b, 0c, 1d, f0, 2c, 94, 66, 01), &machine);
        return strf("%02x%02x%02x%02x.%u.", machine.bytes[0], machine.bytes[1], machine.bytes[2], machine.bytes[3], (unsigned) geteuid());
}

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

        REGISTRY_FOREACH(Pool, p, s->registry) {
                for (Volume *v = volumes_first(p); v; v = volumes_next(v))
                        update_uses(v);
                pool_uses_known(p);
        }
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
                r = registry_new(&s->registry);
        if (r >= 0)
                r = uses_new(s->bus, on_uses_changed, s, &s->uses);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "%s", strerror(-r));
        *ret = TAKE_PTR(s);
        return 0;
}

static void on_devices_refreshed(Pool *p, const Fault *why, _unused_ void *userdata) {
        if (why)
                log_debug("pool %s: %s", p->name, fault_text(why));
}

static void on_devices_changed(void *userdata) {
        Pools *s = userdata;

        REGISTRY_FOREACH(Pool, p, s->registry)
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

        REGISTRY_FOREACH(Pool, p, s->registry)
                busy = busy || p->live || p->operation || p->works;
        REGISTRY_FOREACH(Secret, i, s->secrets->registry)
                busy = busy || i->value; /* an ephemeral one */
        if (busy != s->was_busy)
                s->watcher.busy(busy, s->watcher_userdata);
        s->was_busy = busy;
}

void pools_changed(Pool *p, unsigned what) {
        Pools *s = p->all;

        if (!s->loading)
                s->watcher.changed(p, what, s->watcher_userdata);
        pools_busy_changed(s);
}

void pools_volume_added(Volume *v) {
        Pools *s = v->pool->all;

        (void) uses_of(s->uses, v->info.path, &v->used_by);
        if (!s->loading)
                s->watcher.volume_added(v, s->watcher_userdata);
}

void pools_volume_removed(Volume *v) {
        Pools *s = v->pool->all;

        if (!s->loading)
                s->watcher.volume_removed(v, s->watcher_userdata);
}

void pools_volume_changed(Volume *v, unsigned what) {
        Pools *s = v->pool->all;

        if (!s->loading)
                s->watcher.volume_changed(v, what, s->watcher_userdata);
}

/* --- the set --- */

int pools_find(Pools *s, const char *name, Pool **ret, Fault *f) {
        sd_id128_t id;

        *ret = registry_find_name(s->registry, name);
        if (!*ret && sd_id128_from_string(name, &id) >= 0)
                *ret = registry_find_id(s->registry, id);
        return *ret ? 0 : fault_set(f, FAULT_NO_SUCH_POOL, ENOENT, "no pool is called \"%.200s\"", name);
}

Pool *pools_find_uuid(Pools *s, sd_id128_t uuid) {
        return registry_find_id(s->registry, uuid);
}

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
        REGISTRY_FOREACH(Pool, p, s->registry) {
                *ret = p->active ? find_in(p, path) : NULL;
                if (*ret)
                        return 0;
        }
        fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "no active pool has the volume %.200s", path);
        return -ENOENT;
}

/* Takes over `config`, also on failure. */
static int add(Pools *s, const char *name, sd_id128_t uuid, PoolDef *config, bool persistent, Pool **ret, Fault *f) {
        Pool *p = new0(Pool, 1);
        int r = -ENOMEM;

        if (p) {
                *p = (Pool) { .all = s, .name = strdup(name), .uuid = uuid, .config = config, .persistent = persistent, .config_generation = 1, .secret = -1 };
                r = p->name ? registry_add(s->registry, name, uuid, p) : -ENOMEM;
        } else
                pool_def_free(config);
        if (r < 0) {
                if (p)
                        pool_clear(p);
                free(p);
                return r == -ENOMEM ? fault_oom(f) : fault_set(f, FAULT_POOL_EXISTS, EEXIST, "a pool called \"%s\" exists already", name);
        }
        formats_load(p);
        *ret = p;
        if (!s->loading)
                s->watcher.added(p, s->watcher_userdata);
        return 0;
}

void pools_settle(Pool *p) {
        if (p->persistent || p->live || p->operation)
                return;
        p->all->watcher.removed(p, p->all->watcher_userdata);
        remove_pool(p);
}

/* --- definitions --- */

static int check_user(const Pools *s, const PoolDef *def, Fault *f) {
        if (!s->user || pool_ops(def->type)->any_user)
                return 0;
        return xml_fault_below(&def->head, "@type", f, FAULT_NOT_SUPPORTED,
                               "a user's own daemon has only pools of type 'dir', not '%s'", pool_type_to_string(def->type));
}

static int read_definition(Pools *s, const char *text, size_t length, PoolDef **ret, Fault *f) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        const Pool *known;
        int r;

        r = pool_parse(text, length, &def, f);
        if (r >= 0)
                r = check_user(s, def, f);
        if (r < 0)
                return r;
        /* Without <uuid> a known name means the pool that has it. */
        known = registry_find_name(s->registry, def->name);
        if (sd_id128_is_null(def->uuid) && known)
                def->uuid = known->uuid;
        if (sd_id128_is_null(def->uuid) && sd_id128_randomize(&def->uuid) < 0)
                return fault_set(f, FAULT_POOL, EIO, "no uuid can be made");
        *ret = TAKE_PTR(def);
        return 0;
}

static bool is_same_place(const PoolDef *a, const PoolDef *b) {
        return a->path && b->path && streq(a->path, b->path);
}

/* Two pools over one folder would each think that it knows what is in it. */
static int check_others(Pools *s, const PoolDef *def, Fault *f) {
        REGISTRY_FOREACH(Pool, p, s->registry) {
                if (!p->config || sd_id128_equal(p->uuid, def->uuid))
                        continue;
                if (pool_ops(def->type)->scan == SCAN_FOLDER && is_same_place(def, p->config))
                        return xml_fault_below(&def->head, "target/path", f, FAULT_POOL_EXISTS, "%s is where the pool \"%s\" is", def->path, p->name);
        }
        return 0;
}

static int find_target(Pools *s, const PoolDef *def, const Pool *expect, Pool **ret, Fault *f) {
        Pool *by_name = registry_find_name(s->registry, def->name), *by_uuid = registry_find_id(s->registry, def->uuid);

        if (by_name && fault_is_set(&by_name->broken) && !by_uuid)
                by_uuid = by_name; /* a new definition is how a broken one is mended */
        if (by_name != by_uuid)
                return fault_set(f, FAULT_POOL_EXISTS, EEXIST,
                                 by_name ? "the pool \"%s\" has another uuid" : "the uuid of \"%s\" is another pool's",
                                 def->name);
        if (expect && by_uuid != expect)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the definition is of another pool: name and uuid must stay");
        *ret = by_uuid;
        return 0;
}

static int write_config(Pools *s, PoolDef *def, Fault *f) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = pool_format(def, XML_WRITE_SECRETS, &text, f);
        if (r < 0)
                return r;
        r = store_write(s->configs, def->name, text, strlen(text));
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the definition of %s can't be stored: %s", def->name, strerror(-r)) : 0;
}

static int replace_config(Pool *p, PoolDef *kept) {
        pool_def_free(p->config);
        p->config = kept;
        p->config_generation++;
        p->persistent = true;
        fault_clear(&p->broken);
        if (!p->live)
                formats_load(p);
        pools_changed(p, POOL_CHANGED_CONFIG | POOL_CHANGED_STATE);
        return 0;
}

int pools_define(Pools *s, const char *text, size_t length, bool validate_only, const Pool *expect, Pool **ret, Fault *f) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        Pool *p = NULL;
        PoolDef *kept;
        int r;

        assert(s && text && ret);

        r = read_definition(s, text, length, &def, f);
        if (r >= 0)
                r = find_target(s, def, expect, &p, f);
        if (r >= 0)
                r = check_others(s, def, f);
        if (r < 0)
                return r;
        *ret = NULL;
        if (validate_only)
                return 0;
        if (!p && registry_count(s->registry) >= POOLS_MAX)
                return fault_set(f, FAULT_LIMIT, ENOSPC, "there are %u pools already", POOLS_MAX);
        r = write_config(s, def, f);
        if (r < 0)
                return r;
        if (pool_copy(def, &kept) < 0)
                return fault_oom(f);
        if (!p)
                return add(s, def->name, def->uuid, kept, true, ret, f);
        *ret = p;
        return replace_config(p, kept);
}

int pools_add_transient(Pools *s, const char *text, size_t length, Pool **ret, Fault *f) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        Pool *p = NULL;
        PoolDef *kept;
        int r;

        r = read_definition(s, text, length, &def, f);
        if (r >= 0)
                r = find_target(s, def, NULL, &p, f);
        if (r >= 0 && p)
                r = fault_set(f, FAULT_POOL_EXISTS, EEXIST, "a pool called \"%s\" exists already", p->name);
        if (r >= 0)
                r = check_others(s, def, f);
        if (r < 0)
                return r;
        return pool_copy(def, &kept) < 0 ? fault_oom(f) : add(s, def->name, def->uuid, kept, false, ret, f);
}

int pools_undefine(Pool *p, Fault *f) {
        Pools *s = p->all;
        int r;

        if (!p->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the pool %s is transient: stop it", p->name);
        r = store_remove(s->configs, p->name);
        if (r >= 0)
                r = store_remove(s->autostarts, p->name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the definition of %s can't be removed: %s", p->name, strerror(-r));
        p->persistent = false; /* an active one goes when it is stopped */
        p->autostart = false;
        fault_clear(&p->broken);
        pools_changed(p, POOL_CHANGED_CONFIG | POOL_CHANGED_AUTOSTART);
        pools_settle(p);
        return 0;
}

int pools_set_autostart(Pool *p, bool on, Fault *f) {
        int r;

        if (!p->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the pool %s has no persistent definition", p->name);
        r = on ? store_write(p->all->autostarts, p->name, "", 0) : store_remove(p->all->autostarts, p->name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "that can't be noted: %s", strerror(-r));
        p->autostart = on;
        pools_changed(p, POOL_CHANGED_AUTOSTART);
        return 0;
}

/* --- run state: the live definition, and before it a line that says what is ours to undo --- */

#define STATUS_MOUNTED "<!-- mounted by us -->\n"
#define STATUS_STARTED "<!-- started by us -->\n"

void pools_save(Pool *p) {
        _cleanup_free_ char *text = NULL, *status = NULL;
        int r;

        if (!p->live)
                r = store_remove(p->all->statuses, p->name);
        else {
                r = xml_record_to_text(&p->live->head, XML_WRITE_LIVE, &text);
                if (r >= 0) {
                        status = strf("%s%s%s", p->mounted_by_us ? STATUS_MOUNTED : "", p->started_by_us ? STATUS_STARTED : "", text);
                        r = status ? store_write(p->all->statuses, p->name, status, strlen(status)) : -ENOMEM;
                }
        }
        if (r < 0)
                (void) log_warning_errno(r, "pool %s: its run state can't be kept: %m", p->name);
}

/* --- loading --- */

static int on_config(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolDef *copy = NULL;
        Pools *s = userdata;
        sd_id128_t uuid;
        int r = error;
        Pool *p;

        if (r >= 0)
                r = read_definition(s, text, length, &def, &f);
        if (r >= 0 && !streq(def->name, name))
                r = fault_set(&f, FAULT_INVALID_DEFINITION, EINVAL, "it says that its name is \"%s\"", def->name);
        if (r < 0 && !fault_is_set(&f))
                fault_set(&f, FAULT_STORE, -r, "its file can't be read: %s", strerror(-r));
        if (r >= 0) {
                if (pool_copy(def, &copy) < 0 || add(s, name, def->uuid, copy, true, &p, &f) < 0)
                        log_error("the pool %s can't be taken up: %s", name, fault_text(&f));
                return 0;
        }
        (void) sd_id128_randomize(&uuid);
        if (add(s, name, uuid, NULL, true, &p, NULL) >= 0) {
                log_error("the definition of the pool %s can't be used: %s", name, fault_text(&f));
                fault_move(&p->broken, &f);
        }
        return 0;
}

static int on_autostart(const char *name, const char *text, size_t length, int error, void *userdata) {
        Pool *p = registry_find_name(((Pools *) userdata)->registry, name);

        if (p)
                p->autostart = true;
        return 0;
}

static int on_status(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolDef *live = NULL, *config = NULL;
        Pools *s = userdata;
        int r = error;
        Pool *p;

        if (r >= 0)
                r = pool_parse(text, length, &def, &f);
        if (r >= 0)
                r = pool_copy(def, &live);
        p = def ? registry_find_id(s->registry, def->uuid) : NULL;
        if (r >= 0 && !p) {
                r = pool_copy(def, &config);
                if (r >= 0)
                        r = add(s, def->name, def->uuid, config, false, &p, &f);
        }
        if (r >= 0)
                r = pool_adopt(p, TAKE_PTR(live), strstr(text, STATUS_MOUNTED), strstr(text, STATUS_STARTED), &f);
        pool_def_free(live);
        if (r < 0)
                log_error("the pool %s, which was active, can't be taken up: %s", name, fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

static void on_autostarted(Pool *p, const Fault *why, _unused_ void *userdata) {
        if (why && why->kind != FAULT_CANCELED) /* that we end is none of its faults */
                log_error("the pool %s can't be started: %s", p->name, fault_text(why));
}

int pools_load(Pools *s) {
        int r;

        assert(s);

        s->loading = true;
        r = store_scan(s->configs, on_config, s);
        if (r >= 0)
                r = store_scan(s->autostarts, on_autostart, s);
        if (r >= 0)
                r = store_scan(s->statuses, on_status, s);
        REGISTRY_FOREACH(Pool, p, s->registry) {
                _cleanup_fault_ Fault f = FAULT_INIT;

                if (p->autostart && !p->live && !fault_is_set(&p->broken) && pool_start(p, on_autostarted, NULL, &f) < 0)
                        on_autostarted(p, &f, NULL);
        }
        s->loading = false;
        return r;
}

/* --- loading again --- */

static int take_again(Pool *p, const PoolDef *def, Fault *f) {
        PoolDef *copy = NULL;

        if (!streq(def->name, p->name) || !sd_id128_equal(def->uuid, p->uuid))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "it says another name or uuid than the pool has");
        if (p->config && record_equal(&p->config->head, &def->head))
                return 0;
        if (check_others(p->all, def, f) < 0)
                return -EINVAL;
        return pool_copy(def, &copy) < 0 ? fault_oom(f) : replace_config(p, copy);
}

static int on_config_again(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(pool_def_freep) PoolDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Pools *s = userdata;
        Pool *p = registry_find_name(s->registry, name);
        int r = error;

        if (p && fault_is_set(&p->broken) && !p->live && !p->operation) {
                s->watcher.removed(p, s->watcher_userdata);
                remove_pool(p);
                p = NULL;
        }
        if (!p)
                return on_config(name, text, length, error, s);
        if (r >= 0)
                r = read_definition(s, text, length, &def, &f);
        if (r >= 0)
                r = take_again(p, def, &f);
        if (r < 0)
                log_error("the pool %s stays as it was, its definition can't be used: %s", name, fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

int pools_reload(Pools *s) {
        int r;

        assert(s);

        REGISTRY_FOREACH(Pool, p, s->registry)
                if (p->persistent && !store_exists(s->configs, p->name)) {
                        p->persistent = p->autostart = false;
                        fault_clear(&p->broken);
                        pools_changed(p, POOL_CHANGED_CONFIG | POOL_CHANGED_AUTOSTART);
                        pools_settle(p);
                }
        r = store_scan(s->configs, on_config_again, s);
        REGISTRY_FOREACH(Pool, p, s->registry) {
                bool on = p->persistent && store_exists(s->autostarts, p->name);

                if (on != p->autostart) {
                        p->autostart = on;
                        pools_changed(p, POOL_CHANGED_AUTOSTART);
                }
        }
        return r < 0 ? log_error_errno(r, "the definitions can't be read again: %m") : 0;
}
