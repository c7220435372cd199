/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "switch-ports.h"

#include <net/if.h>
#include <string.h>
#include <sys/queue.h>

#include "../plan/switch-port.h"
#include "link-watch.h"
#include "log.h"
#include "mem.h"
#include "ovs-vsctl.h"
#include "port.h"
#include "store.h"
#include "str.h"

/* When Open vSwitch does not take a port out, it is asked again. */
#define AGAIN_FIRST_USEC (UINT64_C(1) * 1000 * 1000)
#define AGAIN_LAST_USEC (UINT64_C(60) * 1000 * 1000)

struct OvsPort {
        SwitchPorts *all;
        char name[IFNAMSIZ], bridge[IFNAMSIZ];
        int index;                   /* of the tap; 0: it has gone */
        bool adding, removing;       /* Open vSwitch is being told so */
        LIST_ENTRY(OvsPort) link;
};

struct SwitchPorts {
        SwitchPortsOptions options;
        Store *store;                /* NAME -> its bridge */
        Vsctl *vsctl;
        LinkWatch *watch;            /* while there are any */
        sd_event_source *again;      /* for those that could not be taken out; NULL: none */
        uint64_t again_usec;
        LIST_HEAD(, OvsPort) ports;
        bool was_busy, ending;
};

/* --- the set --- */

SwitchPorts *switch_ports_free(SwitchPorts *s) {
        if (!s)
                return NULL;
        s->ending = true;
        vsctl_free(s->vsctl); /* who waits for it is told while all is there */
        while (!LIST_EMPTY(&s->ports)) {
                OvsPort *p = LIST_FIRST(&s->ports);

                LIST_REMOVE(p, link);
                free(p);
        }
        link_watch_free(s->watch);
        sd_event_source_disable_unref(s->again);
        store_free(s->store);
        free(s);
        return NULL;
}

OvsPort *switch_ports_find(const SwitchPorts *s, const char *name) {
        OvsPort *p;

        LIST_FOREACH(p, &s->ports, link)
                if (streq(p->name, name))
                        return p;
        return NULL;
}

/* A port that Open vSwitch does not let go holds nobody up: the next virtnetworkd finds it. */
static void tell_busy(SwitchPorts *s) {
        bool busy = false;
        OvsPort *p;

        LIST_FOREACH(p, &s->ports, link)
                busy = busy || p->index > 0 || p->adding || p->removing;
        if (busy != s->was_busy)
                s->options.busy(busy, s->options.userdata);
        s->was_busy = busy;
}

static void forget(OvsPort *p) {
        SwitchPorts *s = p->all;

        (void) store_remove(s->store, p->name);
        LIST_REMOVE(p, link);
        free(p);
        if (LIST_EMPTY(&s->ports))
                s->watch = link_watch_free(s->watch);
        tell_busy(s);
}

static void on_gone(int index, void *userdata);

/* Links are watched from before it is looked for the first one. */
static int add(SwitchPorts *s, const char *name, const char *bridge, OvsPort **ret) {
        int r = s->watch ? 0 : link_watch_new(s->options.event, on_gone, s, &s->watch);
        OvsPort *p;

        if (r < 0)
                return r;
        p = new0(OvsPort, 1);
        if (!p)
                return -ENOMEM;
        p->all = s;
        (void) snprintf(p->name, sizeof(p->name), "%s", name);
        (void) snprintf(p->bridge, sizeof(p->bridge), "%s", bridge);
        LIST_INSERT_HEAD(&s->ports, p, link);
        *ret = p;
        return 0;
}

/* --- taking out --- */

static void begin_removing(OvsPort *p);

static int on_again(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        SwitchPorts *s = userdata;
        OvsPort *p;

        s->again = sd_event_source_disable_unref(s->again);
        LIST_FOREACH(p, &s->ports, link)
                if (p->index == 0 && !p->adding && !p->removing)
                        begin_removing(p);
        return 0;
}

static void try_again(SwitchPorts *s) {
        if (s->again)
                return;
        s->again_usec = s->again_usec == 0 ? AGAIN_FIRST_USEC : MIN(s->again_usec * 2, AGAIN_LAST_USEC);
        (void) sd_event_add_time_relative(s->options.event, &s->again, CLOCK_MONOTONIC, s->again_usec, 0, on_again, s);
}

static void could_not_remove(OvsPort *p, const Fault *why) {
        SwitchPorts *s = p->all;

        p->removing = false;
        if (s->ending)
                return;
        if (!s->again && s->again_usec == 0)
                log_warning("the port %s, whose guest has gone, can't be taken out of the bridge %s yet: %s", p->name, p->bridge, fault_text(why));
        try_again(s);
        tell_busy(s);
}

static void on_removed(const Fault *why, void *userdata) {
        OvsPort *p = userdata;
        SwitchPorts *s = p->all;

        if (why) {
                could_not_remove(p, why);
                return;
        }
        forget(p);
        s->again_usec = 0;
}

static void run_for_removal(OvsPort *p, int (*make)(const char *name, char ***ret), VsctlDone done) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        char **words;
        int r;

        r = make(p->name, &words);
        r = r < 0 ? fault_oom(&f) : vsctl_run(p->all->vsctl, words, false, done, p, &f);
        if (r < 0)
                could_not_remove(p, &f);
}

static void on_unlimited(const Fault *why, void *userdata) {
        if (why)
                could_not_remove(userdata, why);
        else
                run_for_removal(userdata, switch_port_remove, on_removed);
}

static void begin_removing(OvsPort *p) {
        p->removing = true;
        run_for_removal(p, switch_port_unlimit, on_unlimited);
}

static bool has_tap(const OvsPort *p) {
        LinkInfo info;

        return p->index > 0 && links_find(p->all->options.links, p->name, &info) >= 0 && info.index == p->index;
}

static void on_gone(int index, void *userdata) {
        SwitchPorts *s = userdata;
        OvsPort *p;

        LIST_FOREACH(p, &s->ports, link)
                if (p->index > 0 && (index == LINK_ANY ? !has_tap(p) : p->index == index)) {
                        p->index = 0;
                        if (!p->adding)
                                begin_removing(p);
                }
}

/* --- those of an earlier life --- */

static int on_noted(const char *name, const char *text, size_t length, _unused_ int error, void *userdata) {
        SwitchPorts *s = userdata;
        LinkInfo info;
        OvsPort *p;
        int r;

        if (!text || length == 0 || length >= IFNAMSIZ || !switch_port_name_is_good(name)) {
                (void) store_remove(s->store, name);
                return 0;
        }
        r = add(s, name, text, &p);
        if (r < 0)
                return r;
        if (links_find(s->options.links, name, &info) >= 0 && str_after(info.alias, "virtbus:"))
                p->index = info.index;
        else
                begin_removing(p);
        return 0;
}

static int open_store(SwitchPorts *s) {
        _cleanup_free_ char *folder = strf("%s/network/switch-ports", s->options.state_dir);

        return folder ? store_new(folder, ".bridge", &s->store) : -ENOMEM;
}

int switch_ports_new(const SwitchPortsOptions *options, SwitchPorts **ret) {
        _cleanup_(switch_ports_freep) SwitchPorts *s = new0(SwitchPorts, 1);
        int r;

        assert(options && options->busy && ret);

        if (!s)
                return -ENOMEM;
        s->options = *options;
        LIST_INIT(&s->ports);
        r = open_store(s);
        if (r >= 0)
                r = vsctl_new(options->event, &s->vsctl);
        if (r >= 0)
                r = store_scan(s->store, on_noted, s);
        if (r < 0)
                return r;
        tell_busy(s);
        *ret = TAKE_PTR(s);
        return 0;
}

int switch_ports_list(const SwitchPorts *s, const char *bridge, char ***names, size_t *n) {
        OvsPort *p;
        int r = 0;

        LIST_FOREACH(p, &s->ports, link)
                if (r >= 0 && p->index > 0 && streq(p->bridge, bridge))
                        r = strv_push_nth(names, n, p->name);
        return r;
}

/* --- opening --- */

typedef struct Opening {
        SwitchPorts *all;
        PortDone done;
        void *userdata;
        uint32_t n;
        int fds[PORT_QUEUES_MAX];
        char name[IFNAMSIZ];
} Opening;

/* After a failure the tap goes, and with it, in a moment, what there may be of the port. */
static void on_added(const Fault *why, void *userdata) {
        Opening *o = userdata;
        OvsPort *p = switch_ports_find(o->all, o->name);

        assert(p);

        p->adding = false;
        if (why)
                port_close(o->fds, o->n);
        if (why && vsctl_did_nothing(why))
                forget(p);
        else if (p->index == 0 && !o->all->ending)
                begin_removing(p);
        o->done(why ? NULL : o->name, why ? NULL : o->fds, why ? 0 : o->n, why, o->userdata);
        free(o);
}

static bool is_taken(const char *name, void *userdata) {
        return switch_ports_find(userdata, name);
}

static int check_bridge(const SwitchPorts *s, const char *bridge, LinkInfo *ret, Fault *f) {
        if (!switch_port_name_is_good(bridge))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" can't be the name of a bridge of Open vSwitch", bridge);
        if (links_find(s->options.links, bridge, ret) < 0) {
                fault_set(f, FAULT_NETWORK, ENODEV, "the host has no bridge %s", bridge);
                fault_hint(f, "make it: ovs-vsctl add-br %s; or start Open vSwitch, if it is one of its bridges", bridge);
                return -ENODEV;
        }
        if (!streq(ret->kind, "bridge"))
                return 0;
        fault_set(f, FAULT_NETWORK, EINVAL, "%s is a bridge of the kernel, not one of Open vSwitch", bridge);
        fault_hint(f, "leave <virtualport> out; or make a bridge of Open vSwitch: ovs-vsctl add-br NAME");
        return -EINVAL;
}

/* It is noted before anybody is told of it. */
static int note(SwitchPorts *s, const char *bridge, OvsPort **ret, Fault *f) {
        char name[IFNAMSIZ];
        int r;

        if (links_free_name(s->options.links, SWITCH_PORT_PREFIX, is_taken, s, name) < 0)
                return fault_set(f, FAULT_LIMIT, ENOSPC, "no name for a tap is free");
        r = store_write(s->store, name, bridge, strlen(bridge));
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the port %s can't be noted: %s", name, strerror(-r));
        r = add(s, name, bridge, ret);
        return r < 0 ? fault_set(f, FAULT_NETWORK, -r, "the port %s can't be watched: %s", name, strerror(-r)) : 0;
}

static int open_tap(OvsPort *p, const PortRequest *q, uint64_t mtu, Opening *o, Fault *f) {
        const PortSpec spec = {
                .name = p->name, .mac = q->mac, .queues = q->queues, .mtu = mtu, .quiet = true, .coalesce = q->coalesce, .domain = q->domain,
        };
        LinkInfo info;
        int r;

        r = port_open(p->all->options.links, &spec, o->name, o->fds, f);
        if (r < 0)
                return r;
        o->n = q->queues;
        r = links_find(p->all->options.links, o->name, &info);
        if (r < 0)
                return fault_set(f, FAULT_NETWORK, -r, "the tap %s has gone", o->name);
        p->index = info.index;
        return 0;
}

static int tell_switch(const OvsPort *p, const PortRequest *q, const PortSettings *merged, Opening *o, Fault *f) {
        PortSettings settings = *merged;
        const SwitchPort port = {
                .name = p->name, .bridge = p->bridge, .mac = q->mac, .domain = q->uuid, .isolated = q->isolated, .settings = &settings,
        };
        char **words;
        int r = 0;

        if (sd_id128_is_null(settings.virtual_port.interface_id))
                r = sd_id128_randomize(&settings.virtual_port.interface_id);
        if (r >= 0)
                r = switch_port_add(&port, &words);
        if (r < 0)
                return fault_set(f, FAULT_INVALID_ARGS, -r, "what Open vSwitch is to be told of the port can't be written: %s", strerror(-r));
        return vsctl_run(p->all->vsctl, words, true, on_added, o, f);
}

int switch_ports_open(SwitchPorts *s, const char *bridge, const PortRequest *q, const PortSettings *merged, PortDone done, void *userdata, Fault *f) {
        _cleanup_free_ Opening *o = new0(Opening, 1);
        LinkInfo info = {};
        OvsPort *p;
        int r;

        assert(s && bridge && q && merged && done);

        if (!o)
                return fault_oom(f);
        o->all = s;
        o->done = done;
        o->userdata = userdata;
        r = check_bridge(s, bridge, &info, f);
        if (r >= 0)
                r = note(s, bridge, &p, f);
        if (r < 0)
                return r;
        r = open_tap(p, q, info.mtu, o, f);
        if (r >= 0)
                r = tell_switch(p, q, merged, o, f);
        if (r < 0) {
                port_close(o->fds, o->n);
                forget(p);
                return r;
        }
        p->adding = true;
        tell_busy(s);
        o = NULL;
        return 0;
}

/* --- limits --- */

typedef struct Limiting {
        SwitchPortLimited done;
        void *userdata;
} Limiting;

static void on_limited(const Fault *why, void *userdata) {
        Limiting *l = userdata;

        l->done(why, l->userdata);
        free(l);
}

int switch_port_set_limits(OvsPort *p, const Bandwidth *inbound, const Bandwidth *outbound, SwitchPortLimited done, void *userdata, Fault *f) {
        _cleanup_free_ Limiting *l = new0(Limiting, 1);
        char **words;
        int r;

        assert(p && inbound && outbound && done);

        if (!l || switch_port_limit(p->name, inbound, outbound, &words) < 0)
                return fault_oom(f);
        *l = (Limiting) { done, userdata };
        r = vsctl_run(p->all->vsctl, words, true, on_limited, l, f);
        if (r >= 0)
                l = NULL;
        return r;
}
