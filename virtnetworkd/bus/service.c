/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "log.h"
#include "mem.h"

static void on_added(const void *object, void *userdata) {
        defined_tell_added(&network_bus, ((Service *) userdata)->bus, object);
}

static void on_removed(const void *object, void *userdata) {
        defined_tell_removed(&network_bus, ((Service *) userdata)->bus, object);
}

static void on_changed(const void *object, unsigned what, void *userdata) {
        char path[NETWORK_PATH_MAX];
        const Network *n = object;
        Service *s = userdata;

        defined_tell_changed(&network_bus, s->bus, n, what);
        if (what & NETWORK_CHANGED_STARTED)
                (void) bus_emit(s->bus, NETWORK1_ROOT, NETWORK1_MANAGER, "NetworkStarted", "so", n->name, network_path(n, path));
}

static void on_lease(Network *n, const DhcpGrant *g, bool added, void *userdata) {
        char path[NETWORK_PATH_MAX];
        Service *s = userdata;

        network_emit_lease(s->bus, network_path(n, path), g, added);
        manager_emit_addresses(s->bus, g->mac);
}

static void on_addresses(const MacAddress *mac, void *userdata) {
        _cleanup_free_ char *text = field_mac.to_text(NULL, mac);

        if (text)
                manager_emit_addresses(((Service *) userdata)->bus, text);
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

        const NetworksOptions options = {
                .event = daemon_event(d), .bus = bus_broker(s->bus), .config_dir = daemon_config_dir(d), .run_dir = daemon_run_dir(d),
                .state_dir = daemon_state_dir(d), .watch = { { on_added, on_removed, on_changed }, on_lease, on_addresses, on_busy }, .watch_userdata = s,
        };
        r = networks_new(&options, &s->networks, &f);
        if (r < 0)
                return log_error_errno(r, "%s", fault_text(&f));
        return networks_load(s->networks);
}

static int service_reload(void *state) {
        return definitions_reload(&((Service *) state)->networks->set);
}

static void service_stop(void *state) {
        Service *s = state;

        networks_free(s->networks);
        free(s);
}

const DaemonSpec service_spec = {
        .name = "virtnetworkd",
        .bus_name = NETWORK1_NAME,
        .root = NETWORK1_ROOT,
        .description = "Manages virtual networks.",
        .objects = service_objects,
        .start = service_start,
        .stop = service_stop,
        .reload = service_reload,
};
