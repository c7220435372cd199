/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <pwd.h>
#include <sys/utsname.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "adopt.h"
#include "autostart.h"
#include "define.h"
#include "domain-ports.h"
#include "host-encryption.h"
#include "host-kvm.h"
#include "host-sleep.h"
#include "instance.h"
#include "lease-guard.h"
#include "left-units.h"
#include "log-guard.h"
#include "mem.h"
#include "operation.h"
#include "program.h"
#include "sdbus.h"
#include "stats.h"
#include "str.h"
#include "unit.h"
#include "unit-limits.h"
#include "unit-user.h"

#define UNITS_NOW "/run/systemd/system" /* until the next boot, at which virtbus-generator makes them */

static uint64_t host_memory(void) {
        long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

        return pages > 0 && size > 0 ? (uint64_t) pages * (uint64_t) size : 0;
}

static void apply_settings(Manager *m) {
        const Settings *s = &m->settings;

        m->defaults.emulator = s->emulator ?: m->emulator;
        m->defaults.spare_root_ports = (unsigned) s->spare_root_ports;
        m->defaults.certificates = s->spice_certificates ?: m->certificates;
        m->defaults.vnc_certificates = s->vnc_tls ? s->vnc_certificates ?: m->vnc_certificates : NULL;
        m->defaults.vnc_verify_clients = s->vnc_verify_clients;
}

static int fill_defaults(Manager *m) {
        struct utsname u;

        (void) uname(&u);
        m->arch = strdup(u.machine);
        m->emulator = m->arch ? strf("/usr/bin/qemu-system-%s", m->arch) : NULL;
        m->nvram_folder = strf("%s/nvram", m->dirs.state);
        m->memory_folder = strf("%s/ram", m->dirs.state);
        m->certificates = m->user ? strf("%s/pki/libvirt-spice", m->dirs.config) : strdup("/etc/pki/libvirt-spice");
        m->vnc_certificates = m->user ? strf("%s/pki/libvirt-vnc", m->dirs.config) : strdup("/etc/pki/libvirt-vnc");
        if (!m->emulator || !m->nvram_folder || !m->memory_folder || !m->certificates || !m->vnc_certificates)
                return -ENOMEM;
        m->defaults = (DomainDefaults) {
                .arch = m->arch,
                .nvram_folder = m->nvram_folder,
                .kvm = host_has_kvm(),
                .host_memory = host_memory(),
        };
        apply_settings(m);
        host_encryption_read(&m->defaults.encryption);
        return 0;
}

static int open_stores(Manager *m) {
        _cleanup_free_ char *configs = strf("%s/domains", m->dirs.config), *statuses = strf("%s/qemu/status", m->dirs.run);
        int r;

        if (!configs || !statuses)
                return -ENOMEM;
        r = store_new(configs, ".xml", &m->configs);
        if (r >= 0)
                r = store_new(statuses, ".json", &m->statuses);
        if (r >= 0)
                r = store_insist(m->statuses, m->event);
        if (r >= 0)
                r = caps_store_new(m->event, m->dirs.cache, &m->caps);
        if (r >= 0 && !m->user && geteuid() == 0)
                caps_store_distrust(m->caps);
        return r;
}

static int find_helpers(Manager *m) {
        m->supervisor = program_beside("virtqemu-run");
        m->image_worker = program_beside("virtqemu-image");
        m->copier = program_beside("virtqemu-copy");
        return m->supervisor && m->image_worker && m->copier ? 0 : -ENOMEM;
}

static int on_unit_files_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        autostart_refresh(userdata);
        return 0;
}

/* systemd sends signals only when somebody has subscribed. */
static int listen_to_systemd(Manager *m) {
        int r;

        r = sd_bus_call_method_async(m->bus, NULL, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                     "org.freedesktop.systemd1.Manager", "Subscribe", NULL, NULL, NULL);
        if (r >= 0)
                r = sd_bus_match_signal_async(m->bus, &m->unit_files, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                              "org.freedesktop.systemd1.Manager", "UnitFilesChanged", on_unit_files_changed, NULL, m);
        return r;
}

static bool has_user_manager(void) {
        const char *folder = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *path = folder ? strf("%s/systemd/private", folder) : NULL;

        return path && access(path, F_OK) == 0;
}

static bool decide_by_unit(const Manager *m) {
        if (m->settings.launch != LAUNCH_AUTO)
                return m->settings.launch == LAUNCH_UNIT;
        if (!m->bus || sd_booted() <= 0)
                return false;
        /* A user's session need not have a manager of its own. */
        return !m->user || has_user_manager();
}

/* Where there are no units to give each VM a user of its own, all share one that owns nothing. */
static void find_launch_user(Manager *m) {
        static const char *const names[] = { "virtbus-qemu", "nobody" };

        if (m->user || geteuid() != 0)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(names) && m->launch_uid == 0; i++) {
                const struct passwd *p = getpwnam(names[i]);

                if (p) {
                        m->launch_uid = p->pw_uid;
                        m->launch_gid = p->pw_gid;
                }
        }
}

static int load_settings(const Manager *m, Settings *ret) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = settings_load(m->dirs.config, ret, &f);

        if (r < 0)
                log_error("%s", fault_text(&f));
        return r;
}

sd_bus *manager_network_bus(Manager *m) {
        assert(m);

        if (!m->user)
                return m->bus;
        if (m->system_bus && sd_bus_is_open(m->system_bus) > 0)
                return m->system_bus;
        /* The system's bus was restarted, or is asked for the first time. */
        m->addresses_heard = sd_bus_slot_unref(m->addresses_heard);
        m->system_bus = sd_bus_unref(m->system_bus);
        if (sd_bus_open_system(&m->system_bus) < 0 || sd_bus_attach_event(m->system_bus, m->event, SD_EVENT_PRIORITY_NORMAL) < 0) {
                m->system_bus = sd_bus_unref(m->system_bus);
                return NULL;
        }
        (void) sd_bus_set_exit_on_disconnect(m->system_bus, false);
        return m->system_bus;
}

static bool runs_any(void *userdata) {
        const Manager *m = userdata;

        REGISTRY_FOREACH(Domain, d, m->domains)
                if (d->instance)
                        return true;
        return false;
}

int manager_new(const ManagerOptions *options, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        assert(options && options->event && ret);

        m = new0(Manager, 1);
        if (!m)
                return -ENOMEM;
        m->event = sd_event_ref(options->event);
        m->bus = sd_bus_ref(options->bus);
        m->user = options->user;
        m->dirs = options->dirs;
        m->watch = options->watch;
        m->watch_userdata = options->watch_userdata;
        m->peer_socket = strdup(options->peer_socket);
        if (!m->peer_socket)
                return -ENOMEM;

        r = load_settings(m, &m->settings);
        if (r >= 0)
                r = registry_new(&m->domains);
        if (r >= 0)
                r = find_helpers(m);
        if (r >= 0)
                r = fill_defaults(m);
        if (r >= 0)
                r = open_stores(m);
        if (r < 0)
                return r;

        find_launch_user(m);
        m->by_unit = decide_by_unit(m);
        if (m->by_unit) {
                r = listen_to_systemd(m);
                if (r < 0)
                        return r;
        }
        if (m->bus) {
                r = domain_ports_listen(m);
                if (r >= 0)
                        r = log_guard_new(m->bus, runs_any, m, &m->log_guard);
                if (r >= 0)
                        r = lease_guard_new(m, &m->lease_guard);
                if (r >= 0)
                        r = host_sleep_new(m, &m->host_sleep);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

static void ignore_domain(Domain *d, void *userdata) {}
static void ignore_change(Domain *d, unsigned what, void *userdata) {}
static void ignore_state(Domain *d, DomainState old, void *userdata) {}
static void ignore_operation(Operation *o, int error, const Fault *f, void *userdata) {}
static void ignore_event(Domain *d, const DomainEvent *e, void *userdata) {}
static void ignore_busy(bool busy, void *userdata) {}

static const DomainWatch silent = {
        .added = ignore_domain, .removed = ignore_domain, .changed = ignore_change, .state = ignore_state,
        .operation_finished = ignore_operation, .event = ignore_event, .busy = ignore_busy,
};

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        m->watch = silent; /* that we end does not end what runs */
        m->sampler = sampler_free(m->sampler);
        if (m->domains)
                REGISTRY_FOREACH(Domain, d, m->domains)
                        domain_free(d);
        define_clear(m);
        autostart_clear(m);
        limits_clear(m);
        left_units_clear(m);
        sd_event_source_disable_unref(m->status_again);
        registry_free(m->domains);
        store_free(m->configs);
        store_free(m->statuses);
        caps_store_free(m->caps);
        log_guard_free(m->log_guard);
        lease_guard_free(m->lease_guard);
        host_sleep_free(m->host_sleep);
        sd_bus_slot_unref(m->unit_files);
        sd_bus_slot_unref(m->networks_heard);
        sd_bus_slot_unref(m->networkd_heard);
        settings_clear(&m->settings);
        free(m->peer_socket);
        free(m->supervisor);
        free(m->image_worker);
        free(m->copier);
        free(m->arch);
        free(m->emulator);
        free(m->nvram_folder);
        free(m->memory_folder);
        free(m->certificates);
        free(m->vnc_certificates);
        sd_bus_unref(m->bus);
        sd_bus_slot_unref(m->addresses_heard);
        sd_bus_close_unref(m->system_bus);
        sd_event_unref(m->event);
        free(m);
        return NULL;
}

static int on_config_file(const char *name, const char *text, size_t length, int error, void *userdata) {
        Manager *m = userdata;
        Domain *known = manager_find_name(m, name);

        if (registry_count(m->domains) >= DOMAINS_MAX) {
                log_error("more than %u definitions, the rest is left out", DOMAINS_MAX);
                return -ENOSPC;
        }
        if (known)
                return define_reload(known, text, length);
        if (error < 0)
                return define_unreadable(m, name, error);
        return define_load(m, name, text, length);
}

int manager_load(Manager *m) {
        int r;

        assert(m);

        r = store_scan(m->configs, on_config_file, m);
        if (r < 0)
                (void) log_error_errno(r, "can't read the definitions in %s: %m", m->dirs.config);
        r = adopt_all(m);
        if (r < 0)
                (void) log_error_errno(r, "can't read the run state in %s: %m", m->dirs.run);
        log_guard_check(m->log_guard);
        autostart_refresh(m);
        if (!m->by_unit)
                autostart_run(m);
        manager_busy_changed(m);
        return 0;
}

int manager_reload(Manager *m) {
        Settings fresh;
        int r;

        assert(m);

        r = load_settings(m, &fresh);
        if (r < 0)
                return log_error_errno(r, "the settings stay as they were");
        settings_clear(&m->settings);
        m->settings = fresh;
        apply_settings(m);

        REGISTRY_FOREACH(Domain, d, m->domains)
                if (d->config && !store_exists(m->configs, d->name))
                        define_forget(d);
        r = store_scan(m->configs, on_config_file, m);
        autostart_refresh(m);
        return r;
}

Domain *manager_find_name(Manager *m, const char *name) {
        assert(m && name);

        return registry_find_name(m->domains, name);
}

Domain *manager_find_uuid(Manager *m, sd_id128_t uuid) {
        assert(m);

        return registry_find_id(m->domains, uuid);
}

Domain *manager_find(Manager *m, const char *name_or_uuid) {
        Domain *d = manager_find_name(m, name_or_uuid);
        sd_id128_t uuid;

        if (!d && sd_id128_from_string(name_or_uuid, &uuid) >= 0)
                d = manager_find_uuid(m, uuid);
        return d;
}

Domain *manager_find_pid(Manager *m, pid_t pid) {
        assert(m);

        REGISTRY_FOREACH(Domain, d, m->domains)
                if (d->instance && pid > 0 && (d->instance->supervisor.pid == pid || d->instance->qemu.pid == pid))
                        return d;
        return NULL;
}

static int write_user(const Manager *m, const char *unit) {
        int r = m->by_unit && !m->user ? unit_user_write(UNITS_NOW, unit) : 0;

        return r < 0 ? log_error_errno(r, "%s can't be given a user: %m", unit) : 0;
}

void manager_forget_user(const Manager *m, const char *unit) {
        assert(m);

        if (m->by_unit && !m->user)
                unit_user_remove(UNITS_NOW, unit);
}

int manager_link(Manager *m, Domain *d) {
        int r;

        assert(m && d);

        r = write_user(m, d->unit);
        if (r >= 0)
                r = registry_add(m->domains, d->name, d->uuid, d);
        if (r >= 0)
                d->manager = m;
        return r;
}

void manager_unlink(Manager *m, Domain *d) {
        assert(m && d);

        registry_remove(m->domains, d->uuid);
        m->busy -= !!d->instance + !!d->operation;
        d->manager = NULL;
}

int manager_relink(Manager *m, Domain *d, char *new_name) {
        _cleanup_free_ char *unit = NULL;
        int r;

        assert(m && d && new_name);

        if (m->by_unit) {
                r = unit_name_from_instance("virtqemu", new_name, ".service", &unit);
                if (r >= 0)
                        r = write_user(m, unit);
                if (r < 0) {
                        free(new_name);
                        return r;
                }
        }
        r = registry_rename(m->domains, d->uuid, new_name);
        if (r < 0) {
                free(new_name);
                return r;
        }
        manager_forget_user(m, d->unit);
        if (m->by_unit && m->bus)
                unit_reset_failed(m->bus, d->unit); /* nobody starts it by this name any more */
        free_and_replace(&d->unit, TAKE_PTR(unit));
        m->watch.removed(d, m->watch_userdata);
        free_and_replace(&d->name, new_name);
        d->scope.domain = d->name;
        d->scope.unit = d->unit;
        m->watch.added(d, m->watch_userdata);
        return 0;
}

int manager_reidentify(Manager *m, Domain *d, sd_id128_t uuid) {
        int r;

        assert(m && d);

        if (sd_id128_equal(d->uuid, uuid))
                return 0;
        m->watch.removed(d, m->watch_userdata);
        registry_remove(m->domains, d->uuid);
        d->uuid = uuid;
        (void) sd_id128_to_uuid_string(uuid, d->uuid_string);
        r = registry_add(m->domains, d->name, d->uuid, d);
        m->watch.added(d, m->watch_userdata);
        return r;
}

int manager_keep_identity(Manager *m, DomainDef *def) {
        Domain *d;

        assert(m && def);

        d = def->name ? manager_find_name(m, def->name) : NULL;
        if (d && d->config && sd_id128_is_null(def->uuid))
                def->uuid = d->uuid;
        return 0;
}

bool manager_is_busy(const Manager *m) {
        assert(m);

        return m->busy > 0;
}

void manager_busy_changed(Manager *m) {
        bool busy = manager_is_busy(m);

        if (busy == m->was_busy)
                return;
        m->was_busy = busy;
        m->watch.busy(busy, m->watch_userdata);
}
