/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <net/if.h>
#include <string.h>

#include "../mode/mode.h"
#include "../plan/network.h"
#include "dhcp-checksum.h"
#include "link.h"
#include "log.h"
#include "mem.h"
#include "networks.h"
#include "port.h"
#include "resolved.h"
#include "shape.h"
#include "str.h"

/* A start or stop that waits for dnsmasq. */
typedef struct NetworkOperation {
        Network *network;
        DefinedDone done;
        void *userdata;
        NetworkDef *next;            /* of an update */
} NetworkOperation;

static void warn(Network *n, const char *text) {
        log_warning("network %s: %s", n->name, text);
        if (!strv_contains(n->warnings, text))
                (void) strv_push(&n->warnings, text);
        networks_changed(n, NETWORK_CHANGED_WARNINGS);
}

/* Who wonders about its dnsmasq is told. */
static void warn_of_options(Network *n) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        RECORD_FOREACH(DnsmasqOption, o, n->live->dnsmasq_options)
                text_addf(&t, "%s%.*s", o_i > 0 ? ", " : "its dnsmasq has options of its own, which virtnetworkd knows nothing of: ",
                          (int) strcspn(o->value, "="), o->value);
        if (n->live->dnsmasq_options.n > 0 && (text = text_finish(&t)))
                warn(n, text);
}

/* --- what it is made of --- */

static char *alias_of(const Network *n) {
        return strf("virtbus:" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(n->uuid));
}

static bool is_active(const Network *n) {
        return n->live;
}

/* Settings of the kernel for one bridge: what it must not do by itself. */
static void tune_bridge(const Network *n) {
        const NetworkDef *def = n->live;
        bool six = false;
        const struct {
                const char *name, *value;
        } rows[] = { { "accept_ra", "0" }, { "autoconf", "0" } };

        RECORD_FOREACH(NetworkIp, ip, def->ips)
                six = six || ip->family == FAMILY_IPV6;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *name = strf("ipv6/conf/%s/%s", def->bridge, rows[i].name);

                if (name)
                        (void) sysctl_set(name, rows[i].value);
        }
        if (!six) {
                _cleanup_free_ char *name = strf("ipv6/conf/%s/disable_ipv6", def->bridge);

                if (name)
                        (void) sysctl_set(name, "1");
        }
}

/* Who forwards for guests is a router from then on. */
static int enable_forwarding(Network *n, Fault *f) {
        NetworkKind kind = network_kind(n->live);
        int r = 0;

        if (kind != NETWORK_NAT && kind != NETWORK_ROUTE && kind != NETWORK_OPEN)
                return 0;
        RECORD_FOREACH(NetworkIp, ip, n->live->ips) {
                if (r >= 0)
                        r = sysctl_set(ip->family == FAMILY_IPV6 ? "ipv6/conf/all/forwarding" : "ipv4/ip_forward", "1");
        }
        return r < 0 ? fault_set(f, FAULT_NETWORK, -r, "the host can't be made a router: /proc/sys/net can't be written: %s", strerror(-r)) : 0;
}

/* One that is there already must be ours. */
static int make_bridge(Network *n, Fault *f) {
        const NetworkDef *def = n->live;
        _cleanup_free_ char *alias = alias_of(n);
        const BridgeSpec spec = {
                .name = def->bridge, .alias = alias, .mac = def->mac, .mtu = def->mtu, .stp = def->stp == YES, .delay = def->delay,
        };
        LinkInfo info;
        int r;

        if (!alias)
                return fault_oom(f);
        r = links_find(n->all->links, def->bridge, &info);
        if (r < 0)
                return links_add_bridge(n->all->links, &spec, &n->ifindex, f);
        if (!streq(info.alias, alias)) {
                fault_set(f, FAULT_NETWORK, EEXIST, "there is a link %s already, which is not ours%s%s", def->bridge, *info.kind ? ": a " : "", info.kind);
                fault_hint(f, "give the network another <bridge name='…'/>, or remove that link");
                return -EEXIST;
        }
        n->ifindex = info.index;
        return 0;
}

static int check_free(const Network *n, Fault *f) {
        LinkInfo info = {};
        int r = 0;

        (void) links_find(n->all->links, n->live->bridge, &info);
        RECORD_FOREACH(NetworkIp, ip, n->live->ips)
                if (r >= 0)
                        r = links_check_free(n->all->links, &ip->address, network_prefix(ip), info.index, f);
        return r;
}

static int add_addresses(const Network *n, Fault *f) {
        const NetworkDef *def = n->live;
        int r = 0;

        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (r >= 0)
                        r = links_add_address(n->all->links, n->ifindex, &ip->address, network_prefix(ip), f);
        if (r >= 0)
                r = links_set_up(n->all->links, n->ifindex, f);
        RECORD_FOREACH(NetworkRoute, t, def->routes)
                if (r >= 0)
                        r = links_add_route(n->all->links, n->ifindex, &t->address,
                                            ip_is_set(&t->netmask) ? (unsigned) ip_netmask_to_prefix(&t->netmask) : (unsigned) t->prefix, &t->gateway,
                                            t->metric == NUMBER_UNSET ? 1 : (uint32_t) t->metric, f);
        return r;
}

/* For a network that uses what the host has. */
static int check_host_link(const Network *n, const char *name, const char *kind, Fault *f) {
        LinkInfo info;

        if (links_find(n->all->links, name, &info) < 0)
                return fault_set(f, FAULT_NETWORK, ENODEV, "the host has no link %s", name);
        if (!kind || streq(info.kind, kind))
                return info.index;
        fault_set(f, FAULT_NETWORK, EINVAL, "%s is no %s", name, kind);
        if (streq(info.kind, "openvswitch"))
                fault_hint(f, "it is one of Open vSwitch: say so with <virtualport type='openvswitch'/>");
        return -EINVAL;
}

/* Whether Open vSwitch has a bridge is asked when a port is to be in it. */
static int check_host_bridge(const Network *n, Fault *f) {
        bool in_switch = mode_ops(network_kind(n->live))->ports == PORTS_IN_SWITCH;
        int r;

        if (in_switch && check_host_link(n, n->live->bridge, "bridge", NULL) >= 0)
                return fault_set(f, FAULT_NETWORK, EINVAL, "%s is a bridge of the kernel, not one of Open vSwitch: leave <virtualport> out", n->live->bridge);
        r = check_host_link(n, n->live->bridge, in_switch ? NULL : "bridge", f);
        if (r < 0 && in_switch)
                fault_hint(f, "make it: ovs-vsctl add-br %s", n->live->bridge);
        return r;
}

static int check_host_links(Network *n, Fault *f) {
        int r = 0;

        if (n->live->bridge) {
                r = check_host_bridge(n, f);
                n->ifindex = MAX(r, 0);
        }
        if (r >= 0 && n->live->forward_dev)
                r = check_host_link(n, n->live->forward_dev, NULL, f);
        RECORD_FOREACH(ForwardInterface, i, n->live->forward_interfaces)
                if (r >= 0)
                        r = check_host_link(n, i->dev, NULL, f);
        return r;
}

static bool has_dhcpv4(const NetworkDef *def) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip->address.family == AF_INET && (ip->ranges.n > 0 || ip->hosts.n > 0))
                        return true;
        return false;
}

/* Everything but dnsmasq. */
static int bring_up(Network *n, Fault *f) {
        int r;

        if (!mode_ops(network_kind(n->live))->own_bridge)
                return check_host_links(n, f);
        r = check_free(n, f);
        if (r >= 0)
                r = make_bridge(n, f);
        if (r < 0)
                return r;
        tune_bridge(n);
        if (has_dhcpv4(n->live) && dhcp_checksum_fill(n->all->links, n->ifindex) < 0)
                log_debug("network %s: this kernel can't fill in checksums; very old DHCP clients may want them", n->name);
        r = shape_link(n->all->links, n->live->bridge, &n->live->port.inbound, &n->live->port.outbound, f);
        if (r >= 0)
                r = add_addresses(n, f);
        if (r >= 0)
                r = enable_forwarding(n, f);
        return r < 0 ? r : networks_apply_rules(n->all, f);
}

/* Logged, not told: there is nothing to do about it. */
static void take_down(Network *n) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        bool own = mode_ops(network_kind(n->live))->own_bridge;
        _cleanup_free_ char *bridge = own && n->ifindex > 0 ? strdup(n->live->bridge) : NULL;

        n->live = network_def_free(n->live);
        n->active = false;
        n->ifindex = 0;
        strv_free(TAKE_PTR(n->blocked));
        if (own && networks_apply_rules(n->all, &f) < 0)
                log_warning("network %s: %s", n->name, fault_text(&f));
        fault_clear(&f);
        if (bridge && links_remove(n->all->links, bridge, &f) < 0)
                log_warning("network %s: %s", n->name, fault_text(&f));
}

/* --- dnsmasq --- */

static void on_dnsmasq_ended(const char *why, void *userdata) {
        Network *n = userdata;
        _cleanup_free_ char *text = strf("dnsmasq %s: guests get no addresses and names", why);

        if (text)
                warn(n, text);
}

static int make_dnsmasq(Network *n) {
        const DnsmasqOptions options = {
                .event = n->all->event, .bus = n->all->by_unit ? n->all->bus : NULL, .name = n->name, .run_dir = n->all->run_dir,
                .state_dir = n->all->state_dir, .ended = on_dnsmasq_ended, .userdata = n,
        };

        return n->dnsmasq ? 0 : dnsmasq_new(&options, &n->dnsmasq);
}

/* --- leases: told from when the network is up --- */

static void on_lease_added(const DhcpGrant *g, void *userdata) {
        Network *n = userdata;

        n->targets_moved = n->live->port_forwards.n > 0;
        n->all->watch.lease(n, g, true, n->all->watch_userdata);
}

static void on_lease_removed(const DhcpGrant *g, void *userdata) {
        Network *n = userdata;

        n->targets_moved = n->live->port_forwards.n > 0;
        n->all->watch.lease(n, g, false, n->all->watch_userdata);
}

static void on_leases_changed(void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Network *n = userdata;
        bool moved = TAKE(n->targets_moved, false);

        if (moved && networks_apply_rules(n->all, &f) < 0)
                warn(n, fault_text(&f));
        networks_changed(n, NETWORK_CHANGED_LEASES | (moved ? NETWORK_CHANGED_FORWARDS : 0));
}

static int open_leases(Network *n) {
        static const LeasesWatch watch = { on_lease_added, on_lease_removed, on_leases_changed };

        return !n->dnsmasq || n->leases ? 0 : leases_new(n->all->event, dnsmasq_leases(n->dnsmasq), &watch, n, &n->leases);
}

static void watch_leases(Network *n) {
        _cleanup_free_ char *text = NULL;
        int r = open_leases(n);

        if (r < 0)
                text = strf("the leases of guests in %s can't be read: %s", dnsmasq_leases(n->dnsmasq), strerror(-r));
        if (text)
                warn(n, text);
}

/* --- starting --- */

static NetworkOperation *begin(Network *n, DefinedDone done, void *userdata, Fault *f) {
        NetworkOperation *o;

        if (n->operation) {
                fault_set(f, FAULT_BUSY, EBUSY, "%s is being started or stopped", n->name);
                return NULL;
        }
        o = new0(NetworkOperation, 1);
        if (!o) {
                fault_oom(f);
                return NULL;
        }
        *o = (NetworkOperation) { .network = n, .done = done, .userdata = userdata };
        n->operation = o;
        return o;
}

static void end(Network *n, const Fault *why) {
        NetworkOperation *o = TAKE_PTR(n->operation);
        DefinedDone done = o->done;
        void *userdata = o->userdata;

        free(o);
        definitions_save(n);
        networks_changed(n, NETWORK_CHANGED_ACTIVE);
        if (done)
                done(n, why, userdata);
        if (!n->operation)
                network_attach_waiting(n);
        definitions_settle(n);
}

/* Others of the host that have to know of it. */
static void announce(Network *n) {
        if (mode_ops(network_kind(n->live))->own_bridge)
                firewalld_add(n->all->firewalld, n->live->zone, n->live->bridge);
        resolved_register(n->all->bus, n->live, n->ifindex);
        networks_look_at_firewall(n->all);
}

/* The leases of an earlier life are known now, and with them where ports lead. */
static void apply_grants(Network *n) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (n->live->port_forwards.n > 0 && networks_apply_rules(n->all, &f) < 0)
                warn(n, fault_text(&f));
}

/* Nothing of what it was to be is left. */
static void give_up(Network *n) {
        take_down(n);
        if (n->dnsmasq)
                dnsmasq_remove_files(n->dnsmasq);
}

static void on_started(const Fault *why, void *userdata) {
        Network *n = userdata;

        if (why)
                give_up(n);
        else {
                watch_leases(n);
                apply_grants(n);
                n->active = true;
                announce(n);
                warn_of_options(n);
                networks_changed(n, NETWORK_CHANGED_STARTED);
                log_info("network %s is up", n->name);
        }
        end(n, why);
}

/* Not active without dnsmasq: guests would wait for addresses in vain. */
static int start_dnsmasq(Network *n, DnsmasqDone done, Fault *f) {
        int r;

        if (!network_needs_dnsmasq(n->live)) {
                done(NULL, n);
                return 0;
        }
        r = make_dnsmasq(n);
        if (r < 0)
                return fault_oom(f);
        r = dnsmasq_start(n->dnsmasq, n->live, done, n, f);
        if (r < 0)
                fault_prefix(f, "dnsmasq can't be started");
        return r;
}

int network_start(Network *n, DefinedDone done, void *userdata, Fault *f) {
        int r;

        assert(n);

        if (n->broken.kind != FAULT_NONE)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s can't be started: %s", n->name, fault_text(&n->broken));
        if (is_active(n) && !n->operation)
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "the network %s is active already", n->name);
        if (!begin(n, done, userdata, f))
                return -EBUSY;
        strv_free(TAKE_PTR(n->warnings));
        r = network_copy(n->config, &n->live);
        /* The next virtnetworkd has to know what there is. */
        if (r >= 0 && (r = definitions_save(n)) < 0)
                fault_set(f, FAULT_STORE, -r, "the run state of %s can't be kept: %s", n->name, strerror(-r));
        if (r >= 0)
                r = bring_up(n, f);
        if (r >= 0)
                r = start_dnsmasq(n, on_started, f);
        if (r >= 0)
                return 0;
        if (n->live)
                give_up(n);
        (void) definitions_save(n);
        free(TAKE_PTR(n->operation));
        return r;
}

static void on_adopted(const Fault *why, void *userdata) {
        Network *n = userdata;

        if (why)
                warn(n, fault_text(why));
        watch_leases(n);
        announce(n);
        warn_of_options(n);
        networks_changed(n, NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_STARTED);
}

int network_adopt(Network *n, NetworkDef *live, Fault *f) {
        int r;

        assert(n && !n->live);

        n->live = live;
        /* Who asks at once is told what is known, and rules lead to where guests are; on_adopted() says what is wrong. */
        if (network_needs_dnsmasq(live) && make_dnsmasq(n) >= 0)
                (void) open_leases(n);
        r = bring_up(n, f);
        n->active = r >= 0;
        if (r >= 0)
                r = start_dnsmasq(n, on_adopted, f);
        if (r < 0) {
                n->leases = leases_free(n->leases);
                take_down(n);
        }
        definitions_save(n);
        return r;
}

/* --- changing --- */

static void on_updated(const Fault *why, void *userdata) {
        NetworkDef *next = TAKE_PTR(((Network *) userdata)->operation->next);
        _cleanup_fault_ Fault f = FAULT_INIT;
        Network *n = userdata;

        if (why) {
                network_def_free(next);
                end(n, why);
                return;
        }
        network_def_free(n->live);
        n->live = next;
        strv_free(TAKE_PTR(n->warnings)); /* dnsmasq runs, now at the latest */
        networks_changed(n, NETWORK_CHANGED_WARNINGS | NETWORK_CHANGED_FORWARDS);
        /* Where ports lead, and which services of the host guests may use are another matter now. */
        if (networks_apply_rules(n->all, &f) < 0)
                warn(n, fault_text(&f));
        announce(n);
        warn_of_options(n);
        end(n, NULL);
}

int network_update(Network *n, NetworkDef *next, DefinedDone done, void *userdata, Fault *f) {
        int r = 0;

        assert(n && next && done);

        if (!n->active)
                r = fault_set(f, FAULT_INVALID_STATE, EINVAL, "the network %s is not active", n->name);
        if (r >= 0)
                r = network_can_become(n->live, next, f);
        if (r >= 0 && !begin(n, done, userdata, f))
                r = -EBUSY;
        if (r < 0) {
                network_def_free(next);
                return r;
        }
        n->operation->next = next;
        if (!n->dnsmasq) {
                on_updated(NULL, n);
                return 0;
        }
        r = dnsmasq_update(n->dnsmasq, next, on_updated, n, f);
        if (r < 0) {
                network_def_free(next);
                free(TAKE_PTR(n->operation));
        }
        return r;
}

/* --- stopping --- */

static void on_stopped(const Fault *why, void *userdata) {
        Network *n = userdata;

        if (why)
                log_warning("network %s: %s", n->name, fault_text(why));
        n->leases = leases_free(n->leases);
        n->dnsmasq = dnsmasq_free(n->dnsmasq);
        take_down(n);
        strv_free(TAKE_PTR(n->warnings));
        log_info("network %s is down", n->name);
        end(n, NULL);
}

/* Whoever has a port would lose its network. */
static int check_unused(const Network *n, Fault *f) {
        _cleanup_strv_ char **ports = NULL;
        LinkInfo info = {};

        if (!mode_ops(network_kind(n->live))->own_bridge || port_list(n->live->bridge, &ports) < 0 || !ports[0])
                return 0;
        (void) links_find(n->all->links, ports[0], &info);
        fault_set(f, FAULT_INVALID_STATE, EBUSY, "the network %s is in use: %s%s%s%s is on its bridge", n->name, ports[0],
                  str_after(info.alias, "virtbus:") ? " (of " : "", str_after(info.alias, "virtbus:") ?: "", str_after(info.alias, "virtbus:") ? ")" : "");
        fault_hint(f, "stop who uses it first, or give the flag 4 (force)");
        return -EBUSY;
}

int network_stop(Network *n, bool force, DefinedDone done, void *userdata, Fault *f) {
        int r;

        assert(n);

        if (!is_active(n))
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "the network %s is not active", n->name);
        r = force ? 0 : check_unused(n, f);
        if (r < 0)
                return r;
        if (!begin(n, done, userdata, f))
                return -EBUSY;
        if (!n->dnsmasq) {
                on_stopped(NULL, n);
                return 0;
        }
        r = dnsmasq_stop(n->dnsmasq, on_stopped, n, f);
        if (r < 0)
                free(TAKE_PTR(n->operation));
        return r;
}

void network_clear(Network *n) {
        if (n->operation)
                network_def_free(n->operation->next);
        free(n->operation);
        network_forget_waiting(n);
        leases_free(n->leases);
        dnsmasq_free(n->dnsmasq);
        strv_free(n->warnings);
        strv_free(n->blocked);
}
