/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "networks.h"

#include <string.h>
#include <systemd/sd-daemon.h>

#include "../mode/mode.h"
#include "../mode/port-forward.h"
#include "../plan/network.h"
#include "default-network.h"
#include "log.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"

/* --- the set --- */

static void busy_changed(Networks *s) {
        bool busy = s->macvtaps_used || s->switches_used;

        REGISTRY_FOREACH(Network, n, s->set.registry)
                busy = busy || n->live || n->operation;
        if (busy != s->was_busy)
                s->watch.busy(busy, s->watch_userdata);
        s->was_busy = busy;
}

void networks_changed(Network *n, unsigned what) {
        definitions_changed(n, what);
        busy_changed(n->all);
}

/* --- what is chosen for a definition --- */

static bool bridge_is_taken(const char *name, void *userdata) {
        Networks *s = userdata;

        REGISTRY_FOREACH(Network, n, s->set.registry)
                if ((n->config && streq_null(n->config->bridge, name)) || (n->live && streq_null(n->live->bridge, name)))
                        return true;
        return false;
}

static bool is_used_by_others(Networks *s, const IpAddress *a, unsigned prefix) {
        REGISTRY_FOREACH(Network, n, s->set.registry)
                if (n->config)
                        RECORD_FOREACH(NetworkIp, ip, n->config->ips)
                                if (ip_overlap(a, prefix, &ip->address, network_prefix(ip)))
                                        return true;
        return links_check_free(s->links, a, prefix, 0, NULL) < 0;
}

/* 192.168.100.0/24 and on, as people know it; for IPv6 a prefix by chance, as RFC 4193 wants it. */
static void choose_addresses(Networks *s, NetworkDefaults *d) {
        for (unsigned i = 0; i < 256 && !ip_is_set(&d->ipv4); i++) {
                IpAddress a = { .family = AF_INET, .bytes = { 192, 168, (uint8_t) (100 + i), 1 } };

                if (!is_used_by_others(s, &a, 24))
                        d->ipv4 = a;
        }
        d->ipv4_prefix = 24;
        for (unsigned i = 0; i < 16 && !ip_is_set(&d->ipv6); i++) {
                IpAddress a = { .family = AF_INET6 };
                sd_id128_t chance;

                if (sd_id128_randomize(&chance) < 0)
                        break;
                memcpy(a.bytes + 1, chance.bytes, 5);
                a.bytes[0] = 0xfd;
                a.bytes[15] = 1;
                if (!is_used_by_others(s, &a, 64))
                        d->ipv6 = a;
        }
        d->ipv6_prefix = 64;
}

static bool lacks_address(const NetworkDef *def) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (!ip_is_set(&ip->address))
                        return true;
        return false;
}

static int choose(Networks *s, NetworkDef *def, Fault *f) {
        char bridge[IFNAMSIZ] = "";
        NetworkDefaults d = { .bridge = bridge };
        int r = 0;

        if (!def->bridge)
                r = links_free_name(s->links, "virbr", bridge_is_taken, s, bridge);
        if (r < 0)
                return fault_set(f, FAULT_LIMIT, -r, "no name for a bridge is free");
        if (lacks_address(def))
                choose_addresses(s, &d);
        r = network_fill(def, &d, f);
        return r < 0 ? r : network_check(def, f);
}

static int inherit_ip(NetworkIp *to, const NetworkIp *from) {
        int r = 0;

        if (ip_is_set(&to->address) || ip_family_of(to->family) != ip_family_of(from->family))
                return 0;
        to->address = from->address;
        if (to->prefix == NUMBER_UNSET && !ip_is_set(&to->netmask)) {
                to->netmask = from->netmask;
                to->prefix = from->prefix;
        }
        if (!to->dhcp || to->ranges.n > 0)
                return 0;
        RECORD_FOREACH(DhcpRange, g, from->ranges) {
                void *copy = NULL;

                if (r >= 0)
                        r = record_copy(&g->head, &copy);
                if (r >= 0)
                        r = record_list_add(&to->ranges, copy);
        }
        return r;
}

/* What was chosen for a network before is chosen again: its bridge, its addresses. */
static int inherit(NetworkDef *def, const NetworkDef *before) {
        int r = 0;

        if (!def->bridge && before->bridge && mode_ops(network_kind(def))->own_bridge)
                r = free_and_strdup(&def->bridge, before->bridge);
        if (!def->mac.set)
                def->mac = before->mac;
        for (size_t i = 0; i < def->ips.n && i < before->ips.n && r >= 0; i++)
                r = inherit_ip((NetworkIp *) def->ips.items[i], (const NetworkIp *) before->ips.items[i]);
        return r;
}

/* --- what others have --- */

static int check_port_forwards(const NetworkDef *def, const Network *n, Fault *f) {
        RECORD_FOREACH(PortForward, w, def->port_forwards)
                RECORD_FOREACH(PortForward, their, n->config->port_forwards)
                        if (port_forward_clash(w, their))
                                return xml_fault(&w->head, f, FAULT_NETWORK_EXISTS, "its ports lead into the network \"%s\" already", n->name);
        return 0;
}

/* A bridge is one network's, and so are addresses and ports of the host: told when they are defined, not when they are started in the middle of the night. */
int networks_check_others(Networks *s, const NetworkDef *def, Fault *f) {
        REGISTRY_FOREACH(Network, n, s->set.registry) {
                const NetworkDef *other = n->config;
                int r;

                if (!other || sd_id128_equal(n->uuid, def->uuid))
                        continue;
                if (mode_ops(network_kind(def))->own_bridge && streq_null(other->bridge, def->bridge))
                        return xml_fault_below(&def->head, "bridge/@name", f, FAULT_NETWORK_EXISTS, "\"%s\" is the bridge of the network \"%s\"",
                                               def->bridge, n->name);
                r = check_port_forwards(def, n, f);
                if (r < 0)
                        return r;
                RECORD_FOREACH(NetworkIp, ip, def->ips)
                        RECORD_FOREACH(NetworkIp, their, other->ips)
                                if (ip_overlap(&ip->address, network_prefix(ip), &their->address, network_prefix(their)))
                                        return xml_fault(&ip->head, f, FAULT_NETWORK_EXISTS, "it overlaps with the network \"%s\"", n->name);
        }
        return 0;
}

/* --- definitions --- */

static int parse(const char *text, size_t length, Definition **ret, Fault *f) {
        return network_parse(text, length, (NetworkDef **) ret, f);
}

static int complete(Definitions *s, Definition *def, const Defined *known, Fault *f) {
        if (known && known->config && inherit((NetworkDef *) def, (const NetworkDef *) known->config) < 0)
                return fault_oom(f);
        return choose((Networks *) s, (NetworkDef *) def, f);
}

static int check_others(Definitions *s, const Definition *def, Fault *f) {
        return networks_check_others((Networks *) s, (const NetworkDef *) def, f);
}

static void clear(Defined *o) {
        network_clear((Network *) o);
}

static bool is_busy(const Defined *o) {
        return ((const Network *) o)->operation;
}

static int start(Defined *o, DefinedDone done, void *userdata, Fault *f) {
        return network_start((Network *) o, done, userdata, f);
}

static int adopt(Defined *o, Definition *live, _unused_ const char *text, Fault *f) {
        return network_adopt((Network *) o, (NetworkDef *) live, f);
}

static const DefinitionKind kind = {
        .noun = "network",
        .folder = "networks",
        .status_folder = "network/status",
        .missing = FAULT_NO_SUCH_NETWORK,
        .exists = FAULT_NETWORK_EXISTS,
        .size = sizeof(Network),
        .max = NETWORKS_MAX,
        .parse = parse,
        .complete = complete,
        .check_others = check_others,
        .clear = clear,
        .is_busy = is_busy,
        .start = start,
        .adopt = adopt,
};

/* --- loading --- */

static void on_macvtaps(bool any, void *userdata) {
        Networks *s = userdata;

        s->macvtaps_used = any;
        busy_changed(s);
}

static void on_switch_ports(bool any, void *userdata) {
        Networks *s = userdata;

        s->switches_used = any;
        busy_changed(s);
}

static int take_up_ports(Networks *s) {
        const SwitchPortsOptions options = { s->event, s->links, s->state_dir, on_switch_ports, s };
        int r = macvtaps_new(s->event, s->links, on_macvtaps, s, &s->macvtaps);

        return r < 0 ? r : switch_ports_new(&options, &s->switch_ports);
}

int networks_load(Networks *s) {
        _cleanup_fault_ Fault why = FAULT_INIT;
        int r;

        assert(s);

        s->adopting = true;
        r = definitions_load(&s->set);
        s->adopting = false;
        if (r >= 0 && networks_apply_rules(s, &why) < 0)
                log_error("the firewall's rules can't be compared with what they should be: %s", fault_text(&why));
        fault_clear(&why);
        if (r >= 0)
                r = take_up_ports(s);
        if (r >= 0 && default_network_offer(s, &why) < 0)
                log_warning("the network default is not defined: %s", fault_text(&why));
        definitions_autostart(&s->set);
        return r;
}

/* --- lifetime --- */

Networks *networks_free(Networks *s) {
        if (!s)
                return NULL;
        definitions_clear(&s->set);
        sd_event_source_disable_unref(s->mend);
        sd_event_source_disable_unref(s->look);
        macvtaps_free(s->macvtaps);
        switch_ports_free(s->switch_ports);
        neighbours_free(s->neighbours);
        firewalld_free(s->firewalld);
        links_free(s->links);
        nft_free(s->nft);
        sd_bus_unref(s->bus);
        free(s->run_dir);
        free(s->state_dir);
        free(s);
        return NULL;
}

static void on_neighbour_changed(const MacAddress *mac, void *userdata) {
        Networks *s = userdata;

        s->watch.addresses(mac, s->watch_userdata);
}

static void on_firewalld_back(void *userdata) {
        Networks *s = userdata;

        REGISTRY_FOREACH(Network, n, s->set.registry)
                if (n->active && mode_ops(network_kind(n->live))->own_bridge)
                        firewalld_add(s->firewalld, n->live->zone, n->live->bridge);
}

int networks_new(const NetworksOptions *options, Networks **ret, Fault *f) {
        _cleanup_(networks_freep) Networks *s = new0(Networks, 1);
        int r;

        assert(options && ret);

        if (!s)
                return fault_oom(f);
        s->event = options->event;
        s->bus = sd_bus_ref(options->bus);
        s->by_unit = options->bus && sd_booted() > 0;
        s->watch = options->watch;
        s->watch_userdata = options->watch_userdata;
        s->run_dir = strdup(options->run_dir);
        s->state_dir = strdup(options->state_dir);
        if (!s->run_dir || !s->state_dir)
                return fault_oom(f);
        r = definitions_init(&s->set, &kind, options->config_dir, options->run_dir, options->event, &options->watch.networks, options->watch_userdata);
        if (r >= 0)
                r = links_new(&s->links, f);
        if (r >= 0)
                r = nft_new(s->event, networks_on_firewall_changed, s, &s->nft, f);
        if (r >= 0 && options->bus) {
                r = firewalld_new(options->bus, on_firewalld_back, s, &s->firewalld);
                if (r < 0)
                        fault_set(f, FAULT_DISCONNECTED, -r, "the bus can't be listened to: %s", strerror(-r));
        }
        if (r >= 0)
                r = neighbours_new(s->event, on_neighbour_changed, s, &s->neighbours, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
