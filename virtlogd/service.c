/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "log.h"
#include "mem.h"

static char *object_path(const Guestlog *g) {
        char *path = NULL;

        return sd_bus_path_encode(LOG1_ROOT "/log", guestlog_key(g), &path) >= 0 ? path : NULL;
}

static void on_added(Guestlog *g, void *userdata) {
        _cleanup_free_ char *path = object_path(g);
        Service *s = userdata;

        if (path && s->announcing)
                bus_added(s->bus, path);
}

static void on_removed(Guestlog *g, void *userdata) {
        _cleanup_free_ char *path = object_path(g);
        Service *s = userdata;

        if (path && s->announcing)
                bus_removed(s->bus, path);
}

static void on_changed(Guestlog *g, void *userdata) {
        static const char *const properties[] = { "State", "BytesDropped", "MaxSize", "MaxBackups" };
        _cleanup_free_ char *path = object_path(g);
        Service *s = userdata;

        for (size_t i = 0; path && s->announcing && i < ARRAY_SIZE(properties); i++)
                bus_changed(s->bus, path, LOG1_LOG, properties[i]);
}

static void on_busy(bool busy, void *userdata) {
        daemon_set_busy(((Service *) userdata)->daemon, busy);
}

static void load_settings(Service *s) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Settings fresh;

        if (settings_load(daemon_config_dir(s->daemon), &fresh, &f) >= 0)
                s->settings = fresh;
        else
                log_error("%s; the settings stay as they are", fault_text(&f));
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

        const LogsOptions options = {
                .event = daemon_event(d), .settings = &s->settings, .user = daemon_is_user(d), .log_dir = daemon_log_dir(d),
                .run_dir = daemon_run_dir(d), .state_dir = daemon_state_dir(d),
                .added = on_added, .removed = on_removed, .changed = on_changed, .busy = on_busy,
                .userdata = s,
        };
        r = logs_new(&options, &s->logs);
        if (r >= 0)
                r = logs_load(s->logs);
        s->announcing = true;
        return r;
}

static void service_stop(void *state) {
        Service *s = state;

        logs_free(s->logs);
        free(s);
}

static int service_reload(void *state) {
        Service *s = state;

        load_settings(s);
        bus_changed(s->bus, LOG1_ROOT, LOG1_MANAGER, "MaxSize");
        bus_changed(s->bus, LOG1_ROOT, LOG1_MANAGER, "MaxBackups");
        return 0;
}

const DaemonSpec service_spec = {
        .name = "virtlogd",
        .bus_name = LOG1_NAME,
        .root = LOG1_ROOT,
        .description = "Keeps what virtual machines print.",
        .objects = service_objects,
        .start = service_start,
        .stop = service_stop,
        .reload = service_reload,
};
