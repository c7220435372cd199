/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network-steps.h"

#include <net/if.h>
#include <string.h>

#include "../mode/mode.h"
#include "../plan/network.h"
#include "dhcp-checksum.h"
#include "link-removal.h"
#include "link.h"
#include "log.h"
#include "mem.h"
#include "networks.h"
#include "shape.h"
#include "str.h"

/* What a network is made of, in the order in which it comes. The steps' userdata is the Network. */

static bool has_own_bridge(const Network *n) {
        return mode_ops(network_kind(n->live))->own_bridge;
}

/* --- note: the next virtnetworkd has to know what there is --- */

static int step_note(void *userdata, Fault *f) {
        Network *n = userdata;
        int r = definitions_save(n);

        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the run state of %s can't be kept: %s", n->name, strerror(-r)) : 1;
}

static int undo_note(void *userdata) {
        Network *n = userdata;

        n->live = network_def_free(n->live);
        definitions_save(n);
        return 1;
}

static int step_forget(void *userdata, _unused_ Fault *f) {
        return undo_note(userdata);
}

/* --- bridge --- */

static char *alias_of(const Network *n) {
        return strf("virtbus:" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(n->uuid));
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

static bool has_dhcpv4(const NetworkDef *def) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip->address.family == AF_INET && (ip->ranges.n > 0 || ip->hosts.n > 0))
                        return true;
        return false;
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

static int step_bridge(void *userdata, Fault *f) {
        Network *n = userdata;
        int r;

        if (!has_own_bridge(n)) {
                r = check_host_links(n, f);
                return r < 0 ? r : 1;
        }
        r = check_free(n, f);
        if (r >= 0)
                r = make_bridge(n, f);
        if (r < 0)
                return r;
        tune_bridge(n);
        if (has_dhcpv4(n->live) && dhcp_checksum_fill(n->all->links, n->ifindex) < 0)
                log_debug("network %s: this kernel can't fill in checksums; very old DHCP clients may want them", n->name);
        return 1;
}

/* Logged, not told: there is nothing to do about it. */
static void on_bridge_removed(const Fault *why, void *userdata) {
        Network *n = userdata;

        n->removal = sd_event_source_unref(n->removal);
        if (why)
                log_warning("network %s: %s", n->name, fault_text(why));
        steps_continue(n->operation->steps, 0, NULL);
}

static int undo_bridge(void *userdata) {
        Network *n = userdata;
        int r, made = has_own_bridge(n) ? TAKE(n->ifindex, 0) : 0;

        n->ifindex = 0;
        if (made == 0)
                return 1;
        /* Where there is no operation, nobody could wait. */
        r = n->operation ? link_remove_beside(n->all->event, made, n->live->bridge, on_bridge_removed, n, &n->removal)
                         : links_remove(n->all->links, made);
        if (r < 0)
                (void) log_warning_errno(r, "network %s: its bridge can't be removed: %m", n->name);
        return r >= 0 && n->removal ? 0 : 1;
}

static int step_remove_bridge(void *userdata, _unused_ Fault *f) {
        return undo_bridge(userdata);
}

/* --- shape and addresses: of the bridge, and gone with it --- */

static int step_shape(void *userdata, Fault *f) {
        const Network *n = userdata;
        const PortSettings *p = &n->live->port;
        int r = has_own_bridge(n) ? shape_link(n->all->links, n->live->bridge, &p->inbound, &p->outbound, f) : 0;

        return r < 0 ? r : 1;
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

static int step_addresses(void *userdata, Fault *f) {
        const Network *n = userdata;
        int r = has_own_bridge(n) ? add_addresses(n, f) : 0;

        return r < 0 ? r : 1;
}

/* --- forwarding: not taken back, who else relies on it can't be known --- */

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

static int step_forwarding(void *userdata, Fault *f) {
        Network *n = userdata;
        int r = has_own_bridge(n) ? enable_forwarding(n, f) : 0;

        return r < 0 ? r : 1;
}

/* --- rules --- */

static int step_rules(void *userdata, Fault *f) {
        Network *n = userdata;
        int r;

        n->has_rules = has_own_bridge(n);
        r = n->has_rules ? networks_apply_rules(n->all, f) : 0;
        return r < 0 ? r : 1;
}

/* Logged, not told: there is nothing to do about it. */
static int undo_rules(void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Network *n = userdata;

        n->active = false;
        strv_free(TAKE_PTR(n->blocked));
        if (TAKE(n->has_rules, false) && networks_apply_rules(n->all, &f) < 0)
                log_warning("network %s: %s", n->name, fault_text(&f));
        return 1;
}

static int step_remove_rules(void *userdata, _unused_ Fault *f) {
        return undo_rules(userdata);
}

/* --- dnsmasq: without it guests would wait for addresses in vain --- */

static void on_dnsmasq_ended(const char *why, void *userdata) {
        Network *n = userdata;
        _cleanup_free_ char *text = strf("dnsmasq %s: guests get no addresses and names", why);

        if (text)
                network_warn(n, text);
}

int network_make_dnsmasq(Network *n) {
        const DnsmasqOptions options = {
                .event = n->all->event, .bus = n->all->by_unit ? n->all->bus : NULL, .name = n->name, .run_dir = n->all->run_dir,
                .state_dir = n->all->state_dir, .ended = on_dnsmasq_ended, .userdata = n,
        };

        return n->dnsmasq ? 0 : dnsmasq_new(&options, &n->dnsmasq);
}

int network_start_dnsmasq(Network *n, DnsmasqDone done, Fault *f) {
        int r;

        if (!network_needs_dnsmasq(n->live))
                return 1;
        r = network_make_dnsmasq(n);
        if (r < 0)
                return fault_oom(f);
        r = dnsmasq_start(n->dnsmasq, n->live, done, n, f);
        if (r < 0)
                fault_prefix(f, "dnsmasq can't be started");
        return MIN(r, 0);
}

static void on_dnsmasq_started(const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Network *n = userdata;

        if (steps_undoing(n->operation->steps))
                return; /* it is being stopped already */
        if (why)
                (void) fault_copy(&f, why);
        steps_continue(n->operation->steps, why ? -why->error : 0, &f);
}

static int step_dnsmasq(void *userdata, Fault *f) {
        return network_start_dnsmasq(userdata, on_dnsmasq_started, f);
}

static void on_dnsmasq_stopped(const Fault *why, void *userdata) {
        Network *n = userdata;

        if (why)
                log_warning("network %s: %s", n->name, fault_text(why));
        n->leases = leases_free(n->leases);
        n->dnsmasq = dnsmasq_free(n->dnsmasq);
        steps_continue(n->operation->steps, 0, NULL);
}

static int undo_dnsmasq(void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Network *n = userdata;

        if (!n->dnsmasq)
                return 1;
        if (dnsmasq_stop(n->dnsmasq, on_dnsmasq_stopped, n, &f) >= 0)
                return 0;
        log_warning("network %s: its dnsmasq can't be stopped: %s", n->name, fault_text(&f));
        dnsmasq_remove_files(n->dnsmasq);
        n->dnsmasq = dnsmasq_free(n->dnsmasq);
        return 1;
}

/* From here on a stop goes on, whatever happens: guests can't be given back what they have lost. */
static int step_stop_dnsmasq(void *userdata, Fault *f) {
        Network *n = userdata;
        int r = n->dnsmasq ? dnsmasq_stop(n->dnsmasq, on_dnsmasq_stopped, n, f) : 1;

        if (r >= 0)
                steps_settle(n->operation->steps);
        return r;
}

/* --- their order --- */

#define STEP_NOTE 0
#define STEP_DNSMASQ 6

const StepTable network_steps_start = STEP_TABLE("network-start",
        [STEP_NOTE] = { "note", step_note, undo_note },
        { "bridge", step_bridge, undo_bridge },
        { "shape", step_shape, NULL },
        { "addresses", step_addresses, NULL },
        { "forwarding", step_forwarding, NULL },
        { "rules", step_rules, undo_rules },
        [STEP_DNSMASQ] = { "dnsmasq", step_dnsmasq, undo_dnsmasq },
);

const StepTable network_steps_stop = STEP_TABLE("network-stop",
        { "dnsmasq", step_stop_dnsmasq, NULL },
        { "rules", step_remove_rules, NULL },
        { "bridge", step_remove_bridge, NULL },
        { "forget", step_forget, NULL },
);

int network_bring_up(Network *n, Fault *f) {
        int r = 0;

        for (size_t i = STEP_NOTE + 1; i < STEP_DNSMASQ && r >= 0; i++)
                r = network_steps_start.rows[i].begin(n, f);
        return MIN(r, 0);
}

void network_take_down(Network *n) {
        for (size_t i = STEP_DNSMASQ; i-- > 0;)
                if (network_steps_start.rows[i].undo)
                        (void) network_steps_start.rows[i].undo(n);
}
