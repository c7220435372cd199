/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "../run/volume-run.h"
#include "find-bus.h"
#include "log.h"
#include "mem.h"
#include "secret-bus.h"

static const BusObject job_object = JOB_OBJECT(STORAGE1_ROOT);
const BusObject *const service_objects[] = { &manager_object, &pool_object, &volume_object, &secret_object, &job_object, NULL };

static void on_added(const void *object, void *userdata) {
        defined_tell_added(&pool_bus, ((Service *) userdata)->bus, object);
}

static void on_removed(const void *object, void *userdata) {
        defined_tell_removed(&pool_bus, ((Service *) userdata)->bus, object);
}

static void on_changed(const void *object, unsigned what, void *userdata) {
        defined_tell_changed(&pool_bus, ((Service *) userdata)->bus, object, what);
}

static void on_watermark(Pool *p, void *userdata) {
        char path[POOL_PATH_MAX];

        (void) bus_emit(((Service *) userdata)->bus, pool_path(p, path), STORAGE1_POOL, "Watermark", "tt", p->available, p->capacity);
}

/* Its own signal goes from the pool, so that a client can listen to one pool alone. */
static void tell_volume(Service *s, const Volume *v, bool added) {
        _cleanup_free_ char *object = volume_object_path(v->pool, v->id);
        char path[POOL_PATH_MAX];

        if (!object)
                return;
        if (added)
                bus_added(s->bus, object);
        else
                bus_removed(s->bus, object);
        (void) bus_emit(s->bus, pool_path(v->pool, path), STORAGE1_POOL, added ? "VolumeNew" : "VolumeRemoved", "so", v->info.name, object);
}

static void on_volume_added(Volume *v, void *userdata) {
        tell_volume(userdata, v, true);
}

static void on_volume_removed(Volume *v, void *userdata) {
        tell_volume(userdata, v, false);
}

static void on_volume_changed(Volume *v, unsigned what, void *userdata) {
        volume_bus_changed(((Service *) userdata)->bus, v, what);
}

static void on_busy(bool busy, void *userdata) {
        daemon_set_busy(((Service *) userdata)->daemon, busy);
}

static Jobs *jobs_from(void *userdata) {
        Service *s = service_of(userdata);

        return s ? s->jobs : NULL;
}

static int new_pools(Service *s, Fault *f) {
        Daemon *d = s->daemon;
        const PoolsOptions options = {
                .event = daemon_event(d),
                .bus = bus_broker(s->bus),
                .user = daemon_is_user(d),
                .jobs = s->jobs,
                .secrets = s->secrets,
                .settings = &s->settings,
                .config_dir = daemon_config_dir(d),
                .run_dir = daemon_run_dir(d),
                .state_dir = daemon_state_dir(d),
                .watcher = {{on_added, on_removed, on_changed}, on_watermark, on_volume_added, on_volume_removed, on_volume_changed,
                            on_busy},
                .watcher_userdata = s,
        };

        return pools_new(&options, &s->pools, f);
}

static int service_start(Daemon *d, void **ret) {
        Service *s = new0(Service, 1);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!s)
                return -ENOMEM;
        *ret = s;
        s->daemon = d;
        s->bus = daemon_bus(d);

        const JobsOptions jobs = { .bus = s->bus, .root = STORAGE1_ROOT, .manager_interface = STORAGE1_MANAGER, .cancel_action = ACTION_MANAGE };
        jobs_set_lookup(jobs_from);
        r = settings_load(&s->settings, daemon_config_dir(d), &f);
        if (r >= 0)
                r = jobs_new(&jobs, &s->jobs);
        if (r >= 0)
                r = secrets_new(daemon_event(d), daemon_is_user(d), daemon_config_dir(d), &secret_bus_watch, s, &s->secrets);
        if (r >= 0)
                r = secrets_load(s->secrets);
        if (r >= 0)
                r = new_pools(s, &f);
        if (r < 0)
                return log_error_errno(r, "%s", fault_text(&f));
        return pools_load(s->pools);
}

/* Pools that were active are being looked at. */
static bool service_starting(void *state) {
        Service *s = state;

        REGISTRY_FOREACH(Pool, p, s->pools->set.registry)
                if (p->operation)
                        return true;
        return false;
}

static void service_stop(void *state) {
        Service *s = state;

        finds_clear(s);
        pools_free(s->pools);
        secrets_free(s->secrets);
        jobs_free(s->jobs);
        free(s);
}

/* Numbers are read where they are needed, so they hold from the next time on. */
static int service_reload(void *state) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Service *s = state;
        int r = settings_load(&s->settings, daemon_config_dir(s->daemon), &f);

        if (r < 0)
                (void) log_error_errno(r, "the settings stay as they are: %s", fault_text(&f));
        return definitions_reload(&s->pools->set);
}

const DaemonSpec service_spec = {
        .name = "virtstoraged",
        .bus_name = STORAGE1_NAME,
        .root = STORAGE1_ROOT,
        .description = "Manages storage pools and volumes.",
        .objects = service_objects,
        .start = service_start,
        .starting = service_starting,
        .stop = service_stop,
        .reload = service_reload,
};
