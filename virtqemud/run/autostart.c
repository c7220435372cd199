/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "autostart.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "mem.h"
#include "start.h"
#include "str.h"
#include "unit.h"

/* An EnableUnitFiles() or DisableUnitFiles() under way. It may outlive its domain. */
struct AutostartCall {
        Manager *manager;
        sd_id128_t uuid;
        UnitCall *call;
        AutostartDone done;
        void *userdata;
        AutostartCall *next;
};

static void call_free(AutostartCall *c) {
        AutostartCall **p;

        for (p = &c->manager->autostart_calls; *p != c; p = &(*p)->next)
                ;
        *p = c->next;
        unit_call_free(c->call);
        free(c);
}

/* Who waits has something to free. */
void autostart_clear(Manager *m) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        AutostartCall *c;

        fault_set(&f, FAULT_CANCELED, ECANCELED, "virtqemud ends");
        while ((c = m->autostart_calls)) {
                if (c->done)
                        c->done(NULL, -ECANCELED, &f, c->userdata);
                call_free(c);
        }
}

static void set_flag(Domain *d, bool on) {
        if (d->autostart == on)
                return;
        d->autostart = on;
        domain_changed(d, DOMAIN_CHANGED_AUTOSTART);
}

static void on_unit_done(const Fault *f, void *userdata) {
        AutostartCall *c = userdata;
        Domain *d = manager_find_uuid(c->manager, c->uuid);

        autostart_refresh(c->manager);
        if (c->done)
                c->done(d, f ? -f->error : 0, f, c->userdata);
        else if (f)
                log_warning("%s", fault_text(f));
        call_free(c);
}

static int set_by_unit(Domain *d, bool on, AutostartDone done, void *userdata, Fault *f) {
        Manager *m = d->manager;
        _cleanup_free_ char *unit = NULL;
        AutostartCall *c;
        int r;

        r = unit_name_from_instance("virtqemu", d->name, ".service", &unit);
        if (r < 0)
                return fault_set(f, FAULT_UNIT, -r, "no unit name can be made from \"%s\"", d->name);
        c = new0(AutostartCall, 1);
        if (!c)
                return fault_oom(f);
        *c = (AutostartCall) { .manager = m, .uuid = d->uuid, .done = done, .userdata = userdata, .next = m->autostart_calls };
        m->autostart_calls = c;
        r = unit_set_enabled(m->bus, unit, on, on_unit_done, c, &c->call);
        if (r < 0)
                call_free(c);
        return r;
}

static char *link_path(const Domain *d) {
        _cleanup_free_ char *file = store_escape(d->name);

        return file ? strf("%s/autostart/%s.xml", d->manager->dirs.config, file) : NULL;
}

static int set_by_link(Domain *d, bool on, Fault *f) {
        _cleanup_free_ char *path = link_path(d), *target = store_path(d->manager->configs, d->name);
        _cleanup_free_ char *folder = strf("%s/autostart", d->manager->dirs.config);
        int r;

        if (!path || !target || !folder)
                return fault_oom(f);
        r = on ? mkdir_parents(folder, 0700) : 0;
        if (r >= 0 && (on ? symlink(target, path) : unlink(path)) < 0 && errno != (on ? EEXIST : ENOENT))
                r = -errno;
        if (r >= 0)
                r = file_sync_name(path);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "can't change %s: %s", path, strerror(-r));
        set_flag(d, on);
        return 0;
}

int autostart_set(Domain *d, bool on, AutostartDone done, void *userdata, Fault *f) {
        int r;

        assert(d);

        if (on && !d->config)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s has no persistent definition to start from", d->name);
        if (d->manager->by_unit)
                return set_by_unit(d, on, done, userdata, f);
        r = set_by_link(d, on, f);
        if (r >= 0 && done)
                done(d, 0, NULL, userdata);
        return r;
}

void autostart_forget(Domain *d) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert(d);

        if (d->autostart && autostart_set(d, false, NULL, NULL, &f) < 0)
                log_domain_warning(d, "it stays enabled: %s", fault_text(&f));
}

/* "virtqemu@web.service" in a folder "….wants". */
static void found_link(Manager *m, const char *name) {
        const char *escaped = str_after(name, "virtqemu@"), *end = escaped ? strstr(escaped, ".service") : NULL;
        _cleanup_free_ char *copy = end ? strndup(escaped, (size_t) (end - escaped)) : NULL, *instance = NULL;
        Domain *d;

        if (!copy || end[strlen(".service")] || unit_instance_unescape(copy, &instance) < 0)
                return;
        d = manager_find_name(m, instance);
        if (d)
                d->autostart_seen = true;
}

static void scan_wants(Manager *m, const char *folder) {
        DIR *d = opendir(folder);
        struct dirent *e;

        if (!d)
                return;
        while ((e = readdir(d)))
                found_link(m, e->d_name);
        closedir(d);
}

/* Looks for one, without reading all that is enabled. */
typedef struct Wanted {
        Domain *domain;
        const char *unit;
} Wanted;

static void look_in_wants(const Wanted *w, const char *folder) {
        _cleanup_free_ char *path = strf("%s/%s", folder, w->unit);
        struct stat st;

        if (path && lstat(path, &st) >= 0)
                w->domain->autostart_seen = true;
}

static void scan_units(Manager *m, const char *root, const Wanted *only) {
        DIR *d = opendir(root);
        struct dirent *e;

        if (!d)
                return;
        while ((e = readdir(d))) {
                _cleanup_free_ char *path = NULL;

                if (!str_ends(e->d_name, ".wants") && !str_ends(e->d_name, ".requires"))
                        continue;
                path = strf("%s/%s", root, e->d_name);
                if (path && only)
                        look_in_wants(only, path);
                else if (path)
                        scan_wants(m, path);
        }
        closedir(d);
}

/* `only` NULL: for all domains. */
static void scan_by_unit(Manager *m, const Wanted *only) {
        const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME"), *run = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *own = NULL, *runtime = NULL;

        if (!m->user) {
                scan_units(m, "/etc/systemd/system", only);
                scan_units(m, "/run/systemd/system", only);
                return;
        }
        own = config ? strf("%s/systemd/user", config) : strf("%s/.config/systemd/user", home ?: "");
        runtime = run ? strf("%s/systemd/user", run) : NULL;
        if (own)
                scan_units(m, own, only);
        if (runtime)
                scan_units(m, runtime, only);
        scan_units(m, "/etc/systemd/user", only);
}

static void look_by_link(Domain *d) {
        _cleanup_free_ char *path = link_path(d);
        struct stat st;

        d->autostart_seen = path && lstat(path, &st) >= 0;
}

void autostart_look(Domain *d) {
        _cleanup_free_ char *unit = NULL;

        assert(d);

        d->autostart_seen = false;
        if (!d->manager->by_unit)
                look_by_link(d);
        else if (unit_name_from_instance("virtqemu", d->name, ".service", &unit) >= 0)
                scan_by_unit(d->manager, &(const Wanted) { d, unit });
        set_flag(d, d->autostart_seen);
}

void autostart_refresh(Manager *m) {
        assert(m);

        REGISTRY_FOREACH(Domain, d, m->domains)
                d->autostart_seen = false;
        if (m->by_unit)
                scan_by_unit(m, NULL);
        else
                REGISTRY_FOREACH(Domain, l, m->domains)
                        look_by_link(l);
        REGISTRY_FOREACH(Domain, e, m->domains)
                set_flag(e, e->autostart_seen);
}

/* Remembers for which boot it was done, so that a restart of ours does not start what was stopped on purpose. */
static bool first_since_boot(Manager *m) {
        _cleanup_free_ char *path = strf("%s/autostart-boot-id", m->dirs.state), *known = NULL;
        char id[SD_ID128_STRING_MAX];
        sd_id128_t boot;

        if (!path || sd_id128_get_boot(&boot) < 0)
                return false;
        (void) sd_id128_to_string(boot, id);
        if (file_read(path, sizeof(id), &known, NULL) >= 0 && streq(known, id))
                return false;
        return mkdir_parents(m->dirs.state, 0700) >= 0 && file_write_atomic(path, id, strlen(id), 0600) >= 0;
}

void autostart_run(Manager *m) {
        bool any = false;

        assert(m);

        REGISTRY_FOREACH(Domain, d, m->domains)
                any = any || d->autostart;
        if (!any || !first_since_boot(m))
                return;
        REGISTRY_FOREACH(Domain, e, m->domains) {
                _cleanup_fault_ Fault f = FAULT_INIT;

                if (e->autostart && !domain_state_is_active(e->state) && start_domain(e, 0, NULL, &f) < 0)
                        domain_set_error(e, &f);
        }
}
