/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <net/if.h>

#include "../mode/mode.h"
#include "mem.h"
#include "networks.h"
#include "port.h"
#include "str.h"

/* Ports of a network: what they get from it, from their portgroup, and of themselves. */

void port_request_init(PortRequest *q) {
        const Bandwidth none = { NUMBER_UNSET, NUMBER_UNSET, NUMBER_UNSET, NUMBER_UNSET };

        *q = (PortRequest) { .queues = 1, .settings.inbound = none, .settings.outbound = none };
}

void port_request_clear(PortRequest *q) {
        free(q->domain);
        free(q->group);
        free(q->settings.virtual_port.profile_id);
        record_list_clear(&q->settings.tags);
        port_request_init(q);
}

/* A port that waits until its network is up; or in `waiting` of its network until that is neither coming, going nor changing. */
typedef struct Attaching {
        PortRequest request;
        PortDone done;
        void *userdata;
        struct Attaching *next;
} Attaching;

static void attaching_free(Attaching *a) {
        port_request_clear(&a->request);
        free(a);
}

static const PortGroup *find_group(const NetworkDef *def, const char *name) {
        RECORD_FOREACH(PortGroup, g, def->port_groups)
                if (name ? streq(g->name, name) : g->is_default == YES)
                        return g;
        return NULL;
}

static int find_settings(const Network *n, const PortRequest *q, const PortGroup **ret, Fault *f) {
        *ret = find_group(n->live, q->group);
        return q->group && !*ret ? fault_set(f, FAULT_INVALID_ARGS, ENOENT, "the network %s has no portgroup \"%s\"", n->name, q->group) : 0;
}

static PortWay port_way(const Network *n) {
        return mode_ops(network_kind(n->live))->ports;
}

/* The link that fewest guests are on; in mode passthrough a guest has it for itself. */
static const char *choose_link(const Network *n, Fault *f) {
        const char *best = NULL;
        unsigned least = UINT_MAX;

        RECORD_FOREACH(ForwardInterface, i, n->live->forward_interfaces) {
                unsigned used = macvtaps_count(n->all->macvtaps, i->dev);

                if (used >= least || (used > 0 && n->live->mode == FORWARD_PASSTHROUGH))
                        continue;
                best = i->dev;
                least = used;
        }
        if (best)
                return best;
        if (n->live->forward_interfaces.n == 0)
                return n->live->forward_dev;
        fault_set(f, FAULT_NETWORK, EBUSY, "all links of the network %s are in use, by a guest each", n->name);
        return NULL;
}

static int open_macvtap(Network *n, const PortRequest *q, char *name, int *fds, Fault *f) {
        MacvtapSpec spec = { .mode = forward_mode_to_string((ForwardMode) n->live->mode), .mac = q->mac, .queues = q->queues, .domain = q->domain };

        if (q->isolated)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "ports of the network %s are macvtaps: forward mode 'private' isolates them", n->name);
        spec.link = choose_link(n, f);
        return spec.link ? macvtaps_open(n->all->macvtaps, &spec, name, fds, f) : -EBUSY;
}

static PortSpec tap_spec(const Network *n, const PortRequest *q) {
        return (PortSpec) {
                .bridge = n->live->bridge, .mac = q->mac, .queues = q->queues, .mtu = n->live->mtu, .isolated = q->isolated || n->live->isolated == YES,
                .coalesce = q->coalesce,
                .fixed = n->live->mac_table == MAC_TABLE_LIBVIRT, .domain = q->domain,
        };
}

static int open_tap(Network *n, const PortRequest *q, char *name, int *fds, Fault *f) {
        const PortSpec spec = tap_spec(n, q);

        return port_open(n->all->links, &spec, name, fds, f);
}

/* What a port asks for, its group has, and all have. The bandwidth of a network is that of its bridge, not of each port. */
static void merge_settings(const Network *n, const PortRequest *q, const PortGroup *group, PortSettings *ret) {
        PortSettings all = n->live->port;
        const PortSettings *const layers[] = { &q->settings, group ? &group->settings : NULL, &all };

        all.inbound.average = all.outbound.average = NUMBER_UNSET;
        port_settings_merge(layers, ARRAY_SIZE(layers), ret);
}

int network_reattach(Network *n, const char *tap, const PortRequest *q, Fault *f) {
        const PortGroup *group;
        PortSettings merged;
        PortSpec spec;
        int r;

        if (!n->active || n->operation)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "the network %s is not active", n->name);
        if (port_way(n) != PORTS_ON_BRIDGE)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "ports of the network %s are on no bridge of the kernel: they lose nothing", n->name);
        spec = tap_spec(n, q);
        spec.name = tap;
        spec.existing = true;
        r = find_settings(n, q, &group, f);
        if (r >= 0)
                r = port_reconnect(n->all->links, &spec, f);
        if (r < 0)
                return r;
        merge_settings(n, q, group, &merged);
        return port_set_up(n->all->links, tap, n->live->bridge, &merged, f);
}

/* Those that are there at once. */
static int open_here(Network *n, const PortRequest *q, const PortSettings *merged, PortDone done, void *userdata, Fault *f) {
        bool on_bridge = port_way(n) == PORTS_ON_BRIDGE;
        int fds[PORT_QUEUES_MAX], r;
        char name[IFNAMSIZ];

        if (merged->virtual_port.type == VIRTUAL_PORT_OPENVSWITCH)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "the network %s is on no bridge of Open vSwitch: leave <virtualport> out", n->name);
        r = (on_bridge ? open_tap : open_macvtap)(n, q, name, fds, f);
        if (r < 0)
                return r;
        r = port_set_up(n->all->links, name, on_bridge ? n->live->bridge : NULL, merged, f);
        if (r < 0)
                port_close(fds, q->queues); /* … and it is gone */
        else
                done(name, fds, q->queues, NULL, userdata);
        return r;
}

static int open_in_switch(Network *n, const PortRequest *q, const PortSettings *merged, PortDone done, void *userdata, Fault *f) {
        PortRequest isolated = *q;

        isolated.isolated = q->isolated || n->live->isolated == YES;
        return switch_ports_open(n->all->switch_ports, n->live->bridge, &isolated, merged, done, userdata, f);
}

static int open_port(Network *n, const PortRequest *q, PortDone done, void *userdata, Fault *f) {
        const PortGroup *group;
        PortSettings merged;
        int r;

        r = find_settings(n, q, &group, f);
        if (r < 0)
                return r;
        merge_settings(n, q, group, &merged);
        return (port_way(n) == PORTS_IN_SWITCH ? open_in_switch : open_here)(n, q, &merged, done, userdata, f);
}

static void on_started_for_port(void *object, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Attaching *a = userdata;
        Network *n = object;

        if (why) {
                (void) fault_copy(&f, why);
                fault_prefix(&f, "the network %s can't be started", n->name);
        } else
                (void) open_port(n, &a->request, a->done, a->userdata, &f);
        if (fault_is_set(&f))
                a->done(NULL, NULL, 0, &f, a->userdata);
        attaching_free(a);
}

static Attaching *attaching_new(PortRequest *q, PortDone done, void *userdata) {
        Attaching *a = new0(Attaching, 1);

        if (!a)
                return NULL;
        *a = (Attaching) { *q, done, userdata, NULL };
        *q = (PortRequest) {};
        return a;
}

static int start_for_port(Network *n, PortRequest *q, PortDone done, void *userdata, Fault *f) {
        Attaching *a = attaching_new(q, done, userdata);
        int r;

        if (!a)
                return fault_oom(f);
        r = network_start(n, on_started_for_port, a, f);
        if (r >= 0)
                return 0;
        fault_prefix(f, "the network %s can't be started", n->name);
        attaching_free(a);
        return r;
}

/* Two guests may want it at the same time; and one that is being stopped is about to lose its bridge. */
static int wait_for_network(Network *n, PortRequest *q, PortDone done, void *userdata, Fault *f) {
        Attaching **last = &n->waiting;

        while (*last)
                last = &(*last)->next;
        *last = attaching_new(q, done, userdata);
        return *last ? 0 : fault_oom(f);
}

int network_attach(Network *n, PortRequest *q, PortDone done, void *userdata, Fault *f) {
        int r;

        assert(n && q && q->queues > 0 && done);

        if (n->operation)
                r = wait_for_network(n, q, done, userdata, f);
        else
                r = n->active ? open_port(n, q, done, userdata, f) : start_for_port(n, q, done, userdata, f);
        port_request_clear(q);
        return r;
}

void network_attach_waiting(Network *n) {
        for (Attaching *a = TAKE_PTR(n->waiting), *next; a; a = next) {
                _cleanup_fault_ Fault f = FAULT_INIT;
                int r;

                next = a->next;
                if (n->persistent || n->live)
                        r = network_attach(n, &a->request, a->done, a->userdata, &f);
                else
                        r = fault_set(&f, FAULT_NO_SUCH_NETWORK, ENOENT, "the network %s has been stopped and removed", n->name);
                if (r < 0)
                        a->done(NULL, NULL, 0, &f, a->userdata);
                attaching_free(a);
        }
}

void network_fail_waiting(Network *n, const Fault *why) {
        for (Attaching *a = TAKE_PTR(n->waiting), *next; a; a = next) {
                next = a->next;
                a->done(NULL, NULL, 0, why, a->userdata);
                attaching_free(a);
        }
}

static int macvtap_ports(const Network *n, char ***names, size_t *count) {
        int r = 0;

        if (n->live->forward_interfaces.n == 0)
                r = macvtaps_list(n->all->macvtaps, n->live->forward_dev, names, count);
        RECORD_FOREACH(ForwardInterface, i, n->live->forward_interfaces)
                if (r >= 0)
                        r = macvtaps_list(n->all->macvtaps, i->dev, names, count);
        return r;
}

int network_ports(const Network *n, char ***ret) {
        _cleanup_strv_ char **names = NULL;
        size_t count = 0;
        int r;

        if (!n->active)
                return -ENODEV;
        if (port_way(n) == PORTS_ON_BRIDGE)
                return port_list(n->live->bridge, ret);
        names = new0(char *, 1);
        if (!names)
                return -ENOMEM;
        if (port_way(n) == PORTS_IN_SWITCH)
                r = switch_ports_list(n->all->switch_ports, n->live->bridge, &names, &count);
        else
                r = macvtap_ports(n, &names, &count);
        if (r >= 0)
                *ret = TAKE_PTR(names);
        return r;
}
