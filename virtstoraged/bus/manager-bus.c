/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../pool/pool.h"
#include "../run/volume-run.h"
#include "../run/volumes.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "find-bus.h"
#include "secret-bus.h"
#include "service.h"
#include "mem.h"
#include "str.h"
#include "version.h"

/* org.virtbus.storage1.Manager. */

BUS_HANDLER(method_get, BUS_OPEN) {
        return defined_get(&pool_bus, &service_of(userdata)->pools->set, m, error);
}

BUS_HANDLER(method_get_by_uuid, BUS_OPEN) {
        return defined_get_by_uuid(&pool_bus, &service_of(userdata)->pools->set, m, error);
}

BUS_HANDLER(method_get_volume_by_path, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *object = NULL;
        const char *path;
        Volume *v;
        int r;

        r = sd_bus_message_read(m, "s", &path);
        if (r >= 0)
                r = pools_find_volume(service_of(userdata)->pools, path, &v, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        object = volume_object_path(v->pool, v->id);
        return object ? sd_bus_reply_method_return(m, "o", object) : -ENOMEM;
}

BUS_HANDLER(method_list, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Service *s = service_of(userdata);
        char path[POOL_PATH_MAX];
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssbott)");
        REGISTRY_FOREACH(Pool, p, s->pools->set.registry) {
                const PoolDef *def = pool_def(p);

                if (r >= 0)
                        r = sd_bus_message_append(reply, "(sssbott)", p->name, def ? pool_type_to_string(def->type) : "", pool_state_to_string(pool_state(p)),
                                                  (int) p->autostart, pool_path(p, path), p->capacity, p->available);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_list_jobs, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = jobs_append_list(service_of(userdata)->jobs, reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_define, ACTION_MANAGE) {
        return defined_define(&pool_bus, &service_of(userdata)->pools->set, m, error);
}

BUS_HANDLER(method_start_transient, ACTION_MANAGE) {
        return defined_start_transient(&pool_bus, &service_of(userdata)->pools->set, m, error);
}

BUS_HANDLER(method_start, ACTION_MANAGE) {
        return defined_start_named(&service_of(userdata)->pools->set, m, error);
}

BUS_HANDLER(method_stop, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        void *pool;
        int r = defined_read_named(&service_of(userdata)->pools->set, m, 0, &flags, &pool, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : pool_stop_call(pool, m, error);
}

/* --- for virtqemud: where a disk of type 'volume' is --- */

typedef struct Resolve {
        sd_bus_message *call;
        char *volume;
} Resolve;

static int reply_place(Pool *p, const char *volume, sd_bus_message *m, Fault *f) {
        _cleanup_free_ char *source = NULL;
        int r = pool_check_active(p, f);
        Volume *v;

        if (r < 0)
                return r;
        v = volumes_find(p, volume);
        if (!v)
                return fault_set(f, FAULT_NO_SUCH_VOLUME, ENOENT, "there is no volume %.255s in the pool %s", volume, p->name);
        if (v->info.problem)
                return fault_set(f, FAULT_IMAGE, EBADMSG, "the volume %s in the pool %s %s", v->info.name, p->name, v->info.problem);
        r = volume_check_idle(v, f);
        if (r >= 0 && pool_ops(p->live->type)->network_source)
                r = pool_ops(p->live->type)->network_source(p->live, &v->info, &source);
        return r < 0 ? r : sd_bus_reply_method_return(m, "ssss", v->info.path, volume_kind_to_string(v->info.kind),
                                                      volume_format_to_string(v->info.format) ?: "raw", source ?: "");
}

static void on_resolve_started(void *object, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Resolve *q = userdata;
        int r = why ? -why->error : reply_place(object, q->volume, q->call, &f);

        if (r < 0)
                (void) bus_reply_fault(q->call, why ?: &f, r);
        sd_bus_message_unref(q->call);
        free(q->volume);
        free(q);
}

static int start_and_resolve(Pool *p, const char *volume, sd_bus_message *m, Fault *f) {
        Resolve *q = new0(Resolve, 1);
        int r = -ENOMEM;

        if (q)
                q->volume = strdup(volume);
        if (q && q->volume) {
                q->call = sd_bus_message_ref(m);
                r = pool_when_active(p, on_resolve_started, q, f);
                if (r >= 0)
                        return 1;
                sd_bus_message_unref(q->call);
                free(q->volume);
        }
        free(q);
        return r;
}

BUS_HANDLER(method_resolve, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *pool, *volume;
        int start = 0, r;
        const BusOption options[] = { { "start", 'b', &start } };
        uint64_t flags;
        Pool *p;

        r = sd_bus_message_read(m, "ss", &pool, &volume);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = (p = definitions_find(&service_of(userdata)->pools->set, pool, &f)) ? 0 : -ENOENT;
        if (r >= 0)
                r = start && !p->active ? start_and_resolve(p, volume, m, &f) : reply_place(p, volume, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_GETTER(get_version) {
        return sd_bus_message_append(reply, "s", VIRTBUS_VERSION);
}

/* What this build can do: { type: { "formats": as, "mounts": b } }; of those that nobody can use any more "refused": s. */
static int append_type(sd_bus_message *reply, const PoolOps *ops) {
        static const char *const none[] = { NULL };
        int r = sd_bus_message_open_container(reply, 'e', "sa{sv}");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", pool_type_to_string(ops->type));
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && ops->refused)
                r = sd_bus_message_append(reply, "{sv}", "refused", "s", ops->refused);
        if (r >= 0 && !ops->refused) {
                r = sd_bus_message_append(reply, "{sv}", "mounts", "b", (int) (ops->mount != NULL));
                if (r >= 0)
                        r = sd_bus_message_open_container(reply, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(reply, "s", "formats");
                if (r >= 0)
                        r = sd_bus_message_open_container(reply, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_append_strv(reply, (char **) (ops->formats ?: none));
                for (unsigned i = 0; i < 2 && r >= 0; i++)
                        r = sd_bus_message_close_container(reply);
        }
        for (unsigned i = 0; i < 2 && r >= 0; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

BUS_GETTER(get_pool_types) {
        int r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");

        for (PoolType t = POOL_NONE + 1; t < _POOL_TYPE_MAX && r >= 0; t++)
                if (pool_ops(t))
                        r = append_type(reply, pool_ops(t));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("PoolTypes", "a{sa{sv}}", get_pool_types, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_NAMES("GetPool", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(pool), method_get, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetPoolByUUID", "ay", SD_BUS_PARAM(uuid), "o", SD_BUS_PARAM(pool), method_get_by_uuid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetVolumeByPath", "s", SD_BUS_PARAM(path), "o", SD_BUS_PARAM(volume), method_get_volume_by_path,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListPools", NULL,, "a(sssbott)", SD_BUS_PARAM(pools), method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListJobs", NULL,, "a(uosos)", SD_BUS_PARAM(jobs), method_list_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("DefinePool", "sst" "a{sv}",
                                 SD_BUS_PARAM(format) SD_BUS_PARAM(text) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "o", SD_BUS_PARAM(pool), method_define, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("StartTransient", "sst" "a{sv}",
                                 SD_BUS_PARAM(format) SD_BUS_PARAM(text) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "o", SD_BUS_PARAM(pool), method_start_transient, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("StartPool", "st", SD_BUS_PARAM(name) SD_BUS_PARAM(flags), NULL,, method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("StopPool", "st", SD_BUS_PARAM(name) SD_BUS_PARAM(flags), NULL,, method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("DefineSecret", "sst" "a{sv}",
                                 SD_BUS_PARAM(format) SD_BUS_PARAM(text) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "o", SD_BUS_PARAM(secret), method_define_secret, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetSecret", "s", SD_BUS_PARAM(uuid), "o", SD_BUS_PARAM(secret), method_get_secret, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetSecretByUsage", "ss", SD_BUS_PARAM(type) SD_BUS_PARAM(id), "o", SD_BUS_PARAM(secret), method_get_secret_by_usage,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListSecrets", NULL,, "a(ayssbo)", SD_BUS_PARAM(secrets), method_list_secrets, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("OpenSecret", "sssta{sv}",
                                 SD_BUS_PARAM(uuid) SD_BUS_PARAM(type) SD_BUS_PARAM(id) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "h",
                                 SD_BUS_PARAM(fd), method_open_secret, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("FindSources", "sa{sv}", SD_BUS_PARAM(type) SD_BUS_PARAM(hints), "aa{sv}", SD_BUS_PARAM(sources), method_find_sources,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ResolveVolume", "ssta{sv}", SD_BUS_PARAM(pool) SD_BUS_PARAM(volume) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "ssss", SD_BUS_PARAM(path) SD_BUS_PARAM(kind) SD_BUS_PARAM(format) SD_BUS_PARAM(source), method_resolve,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("PoolNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(pool), 0),
        SD_BUS_SIGNAL_WITH_NAMES("PoolRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(pool), 0),
        SD_BUS_SIGNAL_WITH_NAMES("JobNew", "uos", SD_BUS_PARAM(id) SD_BUS_PARAM(job) SD_BUS_PARAM(operation), 0),
        SD_BUS_SIGNAL_WITH_NAMES("JobRemoved", "uosss", SD_BUS_PARAM(id) SD_BUS_PARAM(job) SD_BUS_PARAM(object) SD_BUS_PARAM(result)
                                 SD_BUS_PARAM(error), 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const manager_vtables[] = { manager_vtable, NULL };
const BusObject manager_object = { .path = STORAGE1_ROOT, .interface = STORAGE1_MANAGER, .vtables = manager_vtables };
