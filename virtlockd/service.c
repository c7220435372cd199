/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "log.h"
#include "mem.h"

char *lockspace_object(const Lockspace *l) {
        char *path = NULL;

        return sd_bus_path_encode(LOCK1_ROOT "/lockspace", lockspace_name(l), &path) >= 0 ? path : NULL;
}

static void announce(Service *s, Lockspace *l, bool there) {
        _cleanup_free_ char *path = lockspace_object(l);

        if (!path)
                return;
        (there ? bus_added : bus_removed)(s->bus, path);
        (void) bus_emit(s->bus, LOCK1_ROOT, LOCK1_MANAGER, there ? "LockspaceNew" : "LockspaceRemoved", "so", lockspace_name(l), path);
}

static void on_added(Lockspace *l, void *userdata) {
        announce(userdata, l, true);
}

static void on_removed(Lockspace *l, void *userdata) {
        announce(userdata, l, false);
}

static void on_changed(Lockspace *l, void *userdata) {
        static const char *const properties[] = { "State", "Error", "Leases" };
        _cleanup_free_ char *path = lockspace_object(l);
        Service *s = userdata;

        /* Not while it is being tried, or loaded. */
        for (size_t i = 0; path && lockspaces_peek(s->lockspaces, lockspace_name(l)) == l && i < ARRAY_SIZE(properties); i++)
                bus_changed(s->bus, path, LOCK1_LOCKSPACE, properties[i]);
}

/* "ay" among variable arguments. */
#define BYTES4(b, i) (b)[i], (b)[(i) + 1], (b)[(i) + 2], (b)[(i) + 3]
#define UUID_BYTES(id) 16, BYTES4((id).bytes, 0), BYTES4((id).bytes, 4), BYTES4((id).bytes, 8), BYTES4((id).bytes, 12)

static void on_lost(Lockspace *l, const char *resource, const Lease *lease, void *userdata) {
        Service *s = userdata;

        (void) bus_emit(s->bus, LOCK1_ROOT, LOCK1_MANAGER, "LeaseLost", "ssayss", lockspace_name(l), resource, UUID_BYTES(lease->uuid),
                        lease->name, lease->description ?: "");
}

static void on_busy(bool busy, void *userdata) {
        daemon_set_busy(((Service *) userdata)->daemon, busy);
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
        r = settings_load(daemon_config_dir(d), &s->settings, &f);
        if (r < 0)
                return log_error_errno(r, "%s", fault_text(&f));

        const LockspacesOptions options = {
                .context = { .event = daemon_event(d), .settings = &s->settings, .changed = on_changed, .lost = on_lost, .userdata = s },
                .state_dir = daemon_state_dir(d), .added = on_added, .removed = on_removed, .busy = on_busy, .userdata = s,
        };
        r = lockspaces_new(&options, &s->lockspaces);
        return r < 0 ? r : lockspaces_load(s->lockspaces);
}

static void service_stop(void *state) {
        Service *s = state;

        lockspaces_free(s->lockspaces);
        free(s);
}

static int service_reload(void *state) {
        Service *s = state;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Settings fresh;

        if (settings_load(daemon_config_dir(s->daemon), &fresh, &f) >= 0)
                s->settings = fresh;
        else
                log_error("%s; the settings stay as they are", fault_text(&f));
        return 0;
}

const DaemonSpec service_spec = {
        .name = "virtlockd",
        .bus_name = LOCK1_NAME,
        .root = LOCK1_ROOT,
        .description = "Keeps two virtual machines from using one disk.",
        .objects = service_objects,
        .start = service_start,
        .stop = service_stop,
        .reload = service_reload,
};
