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
#include "xml-write.h"

/* --- lifetime --- */

static void remove_network(Network *n) {
        registry_remove(n->all->registry, n->uuid);
        network_clear(n);
        free(n);
}

Networks *networks_free(Networks *s) {
        if (!s)
                return NULL;
        if (s->registry)
                REGISTRY_FOREACH(Network, n, s->registry)
                        remove_network(n);
        registry_free(s->registry);
        store_free(s->configs);
        store_free(s->autostarts);
        store_free(s->statuses);
        sd_event_source_disable_unref(s->mend);
        sd_event_source_disable_unref(s->look);
        macvtaps_free(s->macvtaps);
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

        REGISTRY_FOREACH(Network, n, s->registry)
                if (n->active && mode_ops(network_kind(n->live))->own_bridge)
                        firewalld_add(s->firewalld, n->live->zone, n->live->bridge);
}

static int open_stores(Networks *s, const NetworksOptions *o) {
        _cleanup_free_ char *configs = strf("%s/networks", o->config_dir), *autostarts = strf("%s/networks/autostart", o->config_dir);
        _cleanup_free_ char *statuses = strf("%s/network/status", o->run_dir);
        int r;

        if (!configs || !autostarts || !statuses)
                return -ENOMEM;
        r = store_new(configs, ".xml", &s->configs);
        if (r >= 0)
                r = store_new(autostarts, ".xml", &s->autostarts);
        if (r >= 0)
                r = store_new(statuses, ".xml", &s->statuses);
        return r < 0 ? r : store_insist(s->statuses, s->event);
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
        r = open_stores(s, options);
        if (r >= 0)
                r = registry_new(&s->registry);
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

/* --- the set --- */

static void busy_changed(Networks *s) {
        bool busy = s->macvtaps_used;

        REGISTRY_FOREACH(Network, n, s->registry)
                busy = busy || n->live || n->operation;
        if (busy != s->was_busy)
                s->watch.busy(busy, s->watch_userdata);
        s->was_busy = busy;
}

void networks_changed(Network *n, unsigned what) {
        Networks *s = n->all;

        if (!s->loading)
                s->watch.changed(n, what, s->watch_userdata);
        busy_changed(s);
}

int networks_find(Networks *s, const char *name, Network **ret, Fault *f) {
        sd_id128_t id;

        *ret = registry_find_name(s->registry, name);
        if (!*ret && sd_id128_from_string(name, &id) >= 0)
                *ret = registry_find_id(s->registry, id);
        return *ret ? 0 : fault_set(f, FAULT_NO_SUCH_NETWORK, ENOENT, "no network is called \"%.200s\"", name);
}

Network *networks_find_uuid(Networks *s, sd_id128_t uuid) {
        return registry_find_id(s->registry, uuid);
}

/* Takes over `config`, also on failure. */
static int add(Networks *s, const char *name, sd_id128_t uuid, NetworkDef *config, bool persistent, Network **ret, Fault *f) {
        Network *n = new0(Network, 1);
        int r = -ENOMEM;

        if (n) {
                *n = (Network) { .all = s, .name = strdup(name), .uuid = uuid, .config = config, .persistent = persistent, .config_generation = 1 };
                r = n->name ? registry_add(s->registry, name, uuid, n) : -ENOMEM;
        } else
                network_def_free(config);
        if (r < 0) {
                if (n)
                        network_clear(n);
                free(n);
                return r == -ENOMEM ? fault_oom(f) : fault_set(f, FAULT_NETWORK_EXISTS, EEXIST, "a network called \"%s\" exists already", name);
        }
        *ret = n;
        if (!s->loading)
                s->watch.added(n, s->watch_userdata);
        return 0;
}

void networks_settle(Network *n) {
        if (n->persistent || n->live || n->operation)
                return;
        n->all->watch.removed(n, n->all->watch_userdata);
        remove_network(n);
}

/* --- what is chosen for a definition --- */

static bool bridge_is_taken(const char *name, void *userdata) {
        Networks *s = userdata;

        REGISTRY_FOREACH(Network, n, s->registry)
                if ((n->config && streq_null(n->config->bridge, name)) || (n->live && streq_null(n->live->bridge, name)))
                        return true;
        return false;
}

static bool is_used_by_others(Networks *s, const IpAddress *a, unsigned prefix) {
        REGISTRY_FOREACH(Network, n, s->registry)
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

static int complete(Networks *s, NetworkDef *def, Fault *f) {
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

static int read_definition(Networks *s, const char *text, size_t length, NetworkDef **ret, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        const Network *known;
        int r;

        r = network_parse(text, length, &def, f);
        if (r < 0)
                return r;
        /* Without <uuid> a known name means the network that has it. */
        known = registry_find_name(s->registry, def->name);
        if (sd_id128_is_null(def->uuid) && known)
                def->uuid = known->uuid;
        if (known && known->config && inherit(def, known->config) < 0)
                return fault_oom(f);
        r = complete(s, def, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(def);
        return 0;
}

/* --- definitions --- */

static int check_port_forwards(const NetworkDef *def, const Network *n, Fault *f) {
        RECORD_FOREACH(PortForward, w, def->port_forwards)
                RECORD_FOREACH(PortForward, their, n->config->port_forwards)
                        if (port_forward_clash(w, their))
                                return xml_fault(&w->head, f, FAULT_NETWORK_EXISTS, "its ports lead into the network \"%s\" already", n->name);
        return 0;
}

/* A bridge is one network's, and so are addresses and ports of the host: told when they are defined, not when they are started in the middle of the night. */
int networks_check_others(Networks *s, const NetworkDef *def, Fault *f) {
        REGISTRY_FOREACH(Network, n, s->registry) {
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

static int find_target(Networks *s, const NetworkDef *def, const Network *expect, Network **ret, Fault *f) {
        Network *by_name = registry_find_name(s->registry, def->name), *by_uuid = registry_find_id(s->registry, def->uuid);

        if (by_name && by_name->broken.kind != FAULT_NONE && !by_uuid)
                by_uuid = by_name; /* a new definition is how a broken one is mended */
        if (by_name != by_uuid)
                return fault_set(f, FAULT_NETWORK_EXISTS, EEXIST, by_name ? "the network \"%s\" has another uuid" : "the uuid of \"%s\" is another network's",
                                 def->name);
        if (expect && by_uuid != expect)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the definition is of another network: name and uuid must stay");
        *ret = by_uuid;
        return 0;
}

static int write_config(Networks *s, NetworkDef *def, Fault *f) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = network_format(def, XML_WRITE_SECRETS, &text, f);
        if (r < 0)
                return r;
        r = store_write(s->configs, def->name, text, strlen(text));
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the definition of %s can't be stored: %s", def->name, strerror(-r)) : 0;
}

int networks_define(Networks *s, const char *text, size_t length, bool validate_only, const Network *expect, Network **ret, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        NetworkDef *kept;
        Network *n = NULL;
        int r;

        assert(s && text && ret);

        r = read_definition(s, text, length, &def, f);
        if (r >= 0)
                r = find_target(s, def, expect, &n, f);
        if (r >= 0)
                r = networks_check_others(s, def, f);
        if (r < 0)
                return r;
        *ret = NULL;
        if (validate_only)
                return 0;
        if (!n && registry_count(s->registry) >= NETWORKS_MAX)
                return fault_set(f, FAULT_LIMIT, ENOSPC, "there are %u networks already", NETWORKS_MAX);
        r = write_config(s, def, f);
        if (r < 0)
                return r;
        if (network_copy(def, &kept) < 0)
                return fault_oom(f);
        if (!n)
                return add(s, def->name, def->uuid, kept, true, ret, f);
        network_def_free(n->config);
        n->config = kept;
        n->config_generation++;
        n->persistent = true;
        fault_clear(&n->broken);
        networks_changed(n, NETWORK_CHANGED_CONFIG);
        *ret = n;
        return 0;
}

int networks_read_for(Network *n, const char *text, size_t length, NetworkDef **ret, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        Network *found;
        int r;

        r = read_definition(n->all, text, length, &def, f);
        if (r >= 0)
                r = find_target(n->all, def, n, &found, f);
        if (r >= 0)
                r = networks_check_others(n->all, def, f);
        if (r < 0)
                return r;
        return network_copy(def, ret) < 0 ? fault_oom(f) : 0;
}

int networks_add_transient(Networks *s, const char *text, size_t length, Network **ret, Fault *f) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        Network *n = NULL;
        NetworkDef *kept;
        int r;

        r = read_definition(s, text, length, &def, f);
        if (r >= 0)
                r = find_target(s, def, NULL, &n, f);
        if (r >= 0 && n)
                r = fault_set(f, FAULT_NETWORK_EXISTS, EEXIST, "a network called \"%s\" exists already", n->name);
        if (r >= 0)
                r = networks_check_others(s, def, f);
        if (r < 0)
                return r;
        return network_copy(def, &kept) < 0 ? fault_oom(f) : add(s, def->name, def->uuid, kept, false, ret, f);
}

int networks_undefine(Network *n, Fault *f) {
        Networks *s = n->all;
        int r;

        if (!n->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the network %s is transient: stop it", n->name);
        r = store_remove(s->configs, n->name);
        if (r >= 0)
                r = store_remove(s->autostarts, n->name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the definition of %s can't be removed: %s", n->name, strerror(-r));
        n->persistent = false; /* an active one goes when it is stopped */
        n->autostart = false;
        n->config_generation++;
        fault_clear(&n->broken);
        networks_changed(n, NETWORK_CHANGED_CONFIG | NETWORK_CHANGED_AUTOSTART);
        networks_settle(n);
        return 0;
}

int networks_set_autostart(Network *n, bool on, Fault *f) {
        int r;

        if (!n->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the network %s has no persistent definition", n->name);
        r = on ? store_write(n->all->autostarts, n->name, "", 0) : store_remove(n->all->autostarts, n->name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "that can't be noted: %s", strerror(-r));
        n->autostart = on;
        networks_changed(n, NETWORK_CHANGED_AUTOSTART);
        return 0;
}

/* --- run state --- */

int networks_save(Network *n) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (!n->live)
                r = store_remove(n->all->statuses, n->name);
        else {
                r = xml_record_to_text(&n->live->head, XML_WRITE_LIVE, &text);
                if (r >= 0)
                        r = store_write(n->all->statuses, n->name, text, strlen(text));
        }
        if (r < 0)
                (void) log_warning_errno(r, "network %s: its run state can't be kept: %m", n->name);
        return r;
}

/* --- loading --- */

static int on_config(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Networks *s = userdata;
        sd_id128_t uuid;
        Network *n;
        int r = error;

        if (r >= 0)
                r = read_definition(s, text, length, &def, &f);
        if (r >= 0 && !streq(def->name, name))
                r = fault_set(&f, FAULT_INVALID_DEFINITION, EINVAL, "it says that its name is \"%s\"", def->name);
        if (r < 0 && !fault_is_set(&f))
                fault_set(&f, FAULT_STORE, -r, "its file can't be read: %s", strerror(-r));
        if (def && r >= 0)
                uuid = def->uuid;
        else
                (void) sd_id128_randomize(&uuid);
        if (r >= 0) {
                NetworkDef *copy = NULL;

                if (network_copy(def, &copy) < 0 || add(s, name, uuid, copy, true, &n, &f) < 0)
                        log_error("the network %s can't be taken up: %s", name, fault_text(&f));
        } else if (add(s, name, uuid, NULL, true, &n, NULL) >= 0) {
                log_error("the definition of the network %s can't be used: %s", name, fault_text(&f));
                fault_move(&n->broken, &f);
        }
        return 0;
}

static int on_autostart(const char *name, const char *text, size_t length, int error, void *userdata) {
        Network *n = registry_find_name(((Networks *) userdata)->registry, name);

        if (n)
                n->autostart = true;
        return 0;
}

static int on_status(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Networks *s = userdata;
        NetworkDef *live = NULL;
        Network *n;
        int r = error;

        if (r >= 0)
                r = network_parse(text, length, &def, &f);
        if (r >= 0)
                r = network_copy(def, &live);
        n = def ? registry_find_id(s->registry, def->uuid) : NULL;
        if (r >= 0 && !n) {
                NetworkDef *config = NULL;

                r = network_copy(def, &config);
                if (r >= 0)
                        r = add(s, def->name, def->uuid, config, false, &n, &f);
        }
        if (r >= 0)
                r = network_adopt(n, TAKE_PTR(live), &f);
        network_def_free(live);
        if (r < 0)
                log_error("the network %s, which was active, can't be taken up: %s", name, fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

static void on_macvtaps(bool any, void *userdata) {
        Networks *s = userdata;

        s->macvtaps_used = any;
        busy_changed(s);
}

static int adopt(Networks *s) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        s->adopting = true;
        r = store_scan(s->statuses, on_status, s);
        s->adopting = false;
        if (r >= 0 && networks_apply_rules(s, &f) < 0)
                log_error("the firewall's rules can't be compared with what they should be: %s", fault_text(&f));
        return r;
}

int networks_load(Networks *s) {
        _cleanup_fault_ Fault why = FAULT_INIT;
        int r;

        assert(s);

        s->loading = true;
        r = store_scan(s->configs, on_config, s);
        if (r >= 0)
                r = store_scan(s->autostarts, on_autostart, s);
        if (r >= 0)
                r = adopt(s);
        if (r >= 0)
                r = macvtaps_new(s->event, s->links, on_macvtaps, s, &s->macvtaps);
        if (r >= 0 && default_network_offer(s, &why) < 0)
                log_warning("the network default is not defined: %s", fault_text(&why));
        REGISTRY_FOREACH(Network, n, s->registry) {
                _cleanup_fault_ Fault f = FAULT_INIT;

                if (n->autostart && !n->live && n->broken.kind == FAULT_NONE && network_start(n, NULL, NULL, &f) < 0)
                        log_error("the network %s can't be started: %s", n->name, fault_text(&f));
        }
        s->loading = false;
        return r;
}

/* --- loading again --- */

static int replace_config(Network *n, const NetworkDef *def, Fault *f) {
        NetworkDef *copy = NULL;

        if (!streq(def->name, n->name) || !sd_id128_equal(def->uuid, n->uuid))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "it says another name or uuid than the network has");
        if (n->config && record_equal(&n->config->head, &def->head))
                return 0;
        if (networks_check_others(n->all, def, f) < 0)
                return -EINVAL;
        if (network_copy(def, &copy) < 0)
                return fault_oom(f);
        network_def_free(n->config);
        n->config = copy;
        n->config_generation++;
        networks_changed(n, NETWORK_CHANGED_CONFIG);
        return 0;
}

static int on_config_again(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(network_def_freep) NetworkDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Networks *s = userdata;
        Network *n = registry_find_name(s->registry, name);
        int r = error;

        if (n && n->broken.kind != FAULT_NONE && !n->live && !n->operation) {
                s->watch.removed(n, s->watch_userdata);
                remove_network(n);
                n = NULL;
        }
        if (!n)
                return on_config(name, text, length, error, s);
        if (r >= 0)
                r = read_definition(s, text, length, &def, &f);
        if (r >= 0)
                r = replace_config(n, def, &f);
        if (r < 0)
                log_error("the network %s stays as it was, its definition can't be used: %s", name, fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

int networks_reload(Networks *s) {
        int r;

        assert(s);

        REGISTRY_FOREACH(Network, n, s->registry)
                if (n->persistent && !store_exists(s->configs, n->name)) {
                        n->persistent = n->autostart = false;
                        fault_clear(&n->broken);
                        networks_changed(n, NETWORK_CHANGED_CONFIG | NETWORK_CHANGED_AUTOSTART);
                        networks_settle(n);
                }
        r = store_scan(s->configs, on_config_again, s);
        REGISTRY_FOREACH(Network, n, s->registry) {
                bool on = n->persistent && store_exists(s->autostarts, n->name);

                if (on != n->autostart) {
                        n->autostart = on;
                        networks_changed(n, NETWORK_CHANGED_AUTOSTART);
                }
        }
        return r < 0 ? log_error_errno(r, "the definitions can't be read again: %m") : 0;
}
