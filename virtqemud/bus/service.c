/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include <stdio.h>

#include "../run/guest-agent.h"
#include "../run/operation.h"
#include "capabilities-bus.h"
#include "device-bus.h"
#include "disk-size.h"
#include "host-bus.h"
#include "hostdev-bus.h"
#include "mem.h"
#include "statistics-bus.h"
#include "str.h"
#include "wait-address.h"

static const BusObject job_object = JOB_OBJECT(QEMU1_ROOT);

const BusObject *const service_objects[] = {
        &manager_object, &domain_object, &tuning_object, &guest_object, &device_object, &disk_object, &nic_object,
        &console_object, &graphics_object, &screen_object, &events_object, &hostdev_object, &job_object, NULL
};

static Jobs *jobs_from(void *userdata) {
        return service_of(userdata)->jobs;
}

static int new_manager(Service *s) {
        const ManagerOptions options = {
                .event = daemon_event(s->daemon),
                .bus = bus_broker(s->bus),
                .user = daemon_is_user(s->daemon),
                .dirs = {
                        .config = daemon_config_dir(s->daemon), .state = daemon_state_dir(s->daemon),
                        .run = daemon_run_dir(s->daemon), .cache = daemon_cache_dir(s->daemon), .log = daemon_log_dir(s->daemon),
                },
                .peer_socket = daemon_socket(s->daemon),
                .watch = signal_watch,
                .watch_userdata = s,
        };

        return manager_new(&options, &s->manager);
}

void service_busy_changed(Service *s) {
        daemon_set_busy(s->daemon, s->subscriptions || (s->manager && manager_is_busy(s->manager)));
}

static int service_start(Daemon *d, void **ret) {
        const JobsOptions jobs = {
                .bus = daemon_bus(d), .root = QEMU1_ROOT, .manager_interface = QEMU1_MANAGER, .cancel_action = ACTION_POWER,
        };
        Service *s = new0(Service, 1);
        int r;

        if (!s)
                return -ENOMEM;
        *ret = s;
        s->daemon = d;
        s->bus = daemon_bus(d);
        jobs_set_lookup(jobs_from);
        r = jobs_new(&jobs, &s->jobs);
        if (r >= 0)
                r = new_manager(s);
        if (r >= 0)
                r = host_devices_new(s->manager, &hostdev_watch, s, &s->host_devices);
        /* Before the first call is answered: what is defined and what runs. Nothing of it waits for QEMU. */
        if (r >= 0)
                r = manager_load(s->manager);
        s->announcing = true;
        return r;
}

/* Guests that are found running are spoken to before anybody asks for something that needs it. */
static bool service_starting(void *state) {
        const Service *s = state;

        REGISTRY_FOREACH(Domain, d, s->manager->domains)
                if (d->instance && !d->instance->monitor_ready)
                        return true;
        return false;
}

static void service_stop(void *state) {
        Service *s = state;

        /* Jobs that are agents' end while there are jobs. */
        address_waits_free(s);
        if (s->manager)
                REGISTRY_FOREACH(Domain, d, s->manager->domains)
                        if (d->instance)
                                d->instance->agent = guest_agent_free(d->instance->agent);
        statistics_bus_clear(s);
        s->jobs = jobs_free(s->jobs);
        capability_calls_clear(s);
        disk_sizes_clear(s);
        host_info_free(s->host_info);
        s->host_devices = host_devices_free(s->host_devices);
        if (s->manager)
                REGISTRY_FOREACH(Domain, d, s->manager->domains)
                        device_bus_clear(d);
        manager_free(s->manager);
        free(s);
}

static int service_reload(void *state) {
        return manager_reload(((Service *) state)->manager);
}

const DaemonSpec service_spec = {
        .name = "virtqemud",
        .bus_name = QEMU1_NAME,
        .root = QEMU1_ROOT,
        .description = "Manages QEMU virtual machines.",
        .objects = service_objects,
        .for_strangers = "GetPlan",
        .start = service_start,
        .starting = service_starting,
        .stop = service_stop,
        .reload = service_reload,
};

const char *domain_path(const Domain *d, char buffer[static DOMAIN_PATH_MAX]) {
        char hex[SD_ID128_STRING_MAX];

        (void) snprintf(buffer, DOMAIN_PATH_MAX, QEMU1_ROOT "/domain/%s", sd_id128_to_string(d->uuid, hex));
        return buffer;
}

int domain_find_path(const char *path, void *userdata, Domain **ret, const char **ret_rest) {
        Service *s = service_of(userdata);
        const char *hex = str_after(path, QEMU1_ROOT "/domain/");
        char text[SD_ID128_STRING_MAX] = {};
        sd_id128_t id;

        if (!s || !s->manager || !hex || strlen(hex) < 32)
                return 0;
        memcpy(text, hex, 32);
        if (sd_id128_from_string(text, &id) < 0)
                return 0;
        *ret = manager_find_uuid(s->manager, id);
        *ret_rest = hex + 32;
        return *ret ? 1 : 0;
}

int service_find_domain(Service *s, const char *name, Domain **ret, Fault *f) {
        unsigned best = (unsigned) strlen(name) / 3 + 2;
        const char *near = NULL;

        *ret = manager_find(s->manager, name);
        if (*ret)
                return 0;
        REGISTRY_FOREACH(Domain, d, s->manager->domains) {
                unsigned n = str_distance(name, d->name, best);

                if (n < best) {
                        best = n;
                        near = d->name;
                }
        }
        fault_set(f, FAULT_NO_SUCH_DOMAIN, ENOENT, "no domain is called \"%.200s\"", name);
        if (near)
                fault_hint(f, "did you mean \"%s\"?", near);
        return -ENOENT;
}

int service_cancel_operation(Job *j, void *userdata, Fault *f) {
        Operation *o = userdata;
        Fault why = FAULT_INIT;

        fault_set(&why, FAULT_CANCELED, ECANCELED, "%s of %s was cancelled", o->name, o->domain->name);
        operation_cancel(o, &why);
        return 0;
}
