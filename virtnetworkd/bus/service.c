/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include <stdio.h>

#include "log.h"
#include "mem.h"

const char *network_path(const Network *n, char buffer[static NETWORK_PATH_MAX]) {
        char hex[SD_ID128_STRING_MAX];

        (void) snprintf(buffer, NETWORK_PATH_MAX, NETWORK1_ROOT "/network/%s", sd_id128_to_string(n->uuid, hex));
        return buffer;
}

static void on_added(Network *n, void *userdata) {
        char path[NETWORK_PATH_MAX];
        Service *s = userdata;

        bus_added(s->bus, network_path(n, path));
        (void) bus_emit(s->bus, NETWORK1_ROOT, NETWORK1_MANAGER, "NetworkNew", "so", n->name, path);
}

static void on_removed(Network *n, void *userdata) {
        char path[NETWORK_PATH_MAX];
        Service *s = userdata;

        bus_removed(s->bus, network_path(n, path));
        (void) bus_emit(s->bus, NETWORK1_ROOT, NETWORK1_MANAGER, "NetworkRemoved", "so", n->name, path);
}

static void on_changed(Network *n, unsigned what, void *userdata) {
        static const struct {
                unsigned what;
                const char *property;
        } rows[] = {
                { NETWORK_CHANGED_ACTIVE, "Active" }, { NETWORK_CHANGED_ACTIVE, "IfIndex" }, { NETWORK_CHANGED_AUTOSTART, "Autostart" },
                { NETWORK_CHANGED_CONFIG, "Persistent" }, { NETWORK_CHANGED_CONFIG, "ConfigGeneration" }, { NETWORK_CHANGED_WARNINGS, "Warnings" },
                { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "Bridge" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "ForwardMode" },
                { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "ForwardDevices" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "Domain" },
                { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "MTU" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "Addresses" },
                { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG | NETWORK_CHANGED_FORWARDS, "PortForwards" },
                { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "StaticHosts" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "DHCPRanges" },
                { NETWORK_CHANGED_CONFIG, "Error" }, { NETWORK_CHANGED_LEASES | NETWORK_CHANGED_ACTIVE, "Leases" },
        };
        char path[NETWORK_PATH_MAX];
        Service *s = userdata;

        (void) network_path(n, path);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].what & what)
                        bus_changed(s->bus, path, NETWORK1_NETWORK, rows[i].property);
        if (what & NETWORK_CHANGED_STARTED)
                (void) bus_emit(s->bus, NETWORK1_ROOT, NETWORK1_MANAGER, "NetworkStarted", "so", n->name, path);
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
                .state_dir = daemon_state_dir(d), .watch = { on_added, on_removed, on_changed, on_lease, on_addresses, on_busy }, .watch_userdata = s,
        };
        r = networks_new(&options, &s->networks, &f);
        if (r < 0)
                return log_error_errno(r, "%s", fault_text(&f));
        return networks_load(s->networks);
}

static int service_reload(void *state) {
        return networks_reload(((Service *) state)->networks);
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
