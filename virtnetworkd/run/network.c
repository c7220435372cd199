/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network-steps.h"

#include <string.h>

#include "../mode/mode.h"
#include "../plan/network.h"
#include "link.h"
#include "log.h"
#include "mem.h"
#include "networks.h"
#include "port.h"
#include "resolved.h"
#include "str.h"

void network_warn(Network *n, const char *text) {
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
                network_warn(n, text);
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
                network_warn(n, fault_text(&f));
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
                network_warn(n, text);
}

/* --- starting and stopping --- */

static bool is_active(const Network *n) {
        return n->live;
}

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
        *o = (NetworkOperation) { .done = done, .userdata = userdata };
        n->operation = o;
        return o;
}

static void operation_free(Network *n) {
        NetworkOperation *o = TAKE_PTR(n->operation);

        if (!o)
                return;
        steps_free(o->steps);
        network_def_free(o->next);
        free(o);
}

static void end(Network *n, const Fault *why) {
        DefinedDone done = n->operation->done;
        void *userdata = n->operation->userdata;

        operation_free(n);
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
                network_warn(n, fault_text(&f));
}

static void is_up(Network *n) {
        watch_leases(n);
        apply_grants(n);
        n->active = true;
        announce(n);
        warn_of_options(n);
        networks_changed(n, NETWORK_CHANGED_STARTED);
        log_info("network %s is up", n->name);
}

static void is_down(Network *n) {
        strv_free(TAKE_PTR(n->warnings));
        log_info("network %s is down", n->name);
}

static void on_finished(_unused_ Steps *s, int error, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Network *n = userdata;

        if (error < 0 && why && fault_is_set(why))
                (void) fault_copy(&f, why);
        else if (error < 0)
                fault_set(&f, FAULT_NETWORK, -error, "the network %s: %s", n->name, strerror(-error));
        else if (n->operation->what == &network_steps_start)
                is_up(n);
        else
                is_down(n);
        end(n, error < 0 ? &f : NULL);
}

static int begin_steps(Network *n, const StepTable *what, DefinedDone done, void *userdata, Fault *f) {
        static const StepsWatch watch = { .finished = on_finished };
        NetworkOperation *o = begin(n, done, userdata, f);
        int r;

        if (!o)
                return -EBUSY;
        o->what = what;
        r = steps_new(n->all->event, what, 0, &watch, n, &o->steps);
        if (r < 0) {
                operation_free(n);
                return fault_oom(f);
        }
        return 0;
}

int network_start(Network *n, DefinedDone done, void *userdata, Fault *f) {
        NetworkDef *live;
        int r;

        assert(n);

        if (n->broken.kind != FAULT_NONE)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s can't be started: %s", n->name, fault_text(&n->broken));
        if (is_active(n) && !n->operation)
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "the network %s is active already", n->name);
        if (network_copy(n->config, &live) < 0)
                return fault_oom(f);
        r = begin_steps(n, &network_steps_start, done, userdata, f);
        if (r < 0) {
                network_def_free(live);
                return r;
        }
        n->live = live;
        strv_free(TAKE_PTR(n->warnings));
        return 0;
}

static void on_adopted(const Fault *why, void *userdata) {
        Network *n = userdata;

        if (why)
                network_warn(n, fault_text(why));
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
        if (network_needs_dnsmasq(live) && network_make_dnsmasq(n) >= 0)
                (void) open_leases(n);
        r = network_bring_up(n, f);
        n->active = r >= 0;
        if (r >= 0)
                r = network_start_dnsmasq(n, on_adopted, f);
        if (r > 0)
                on_adopted(NULL, n);
        if (r < 0) {
                n->leases = leases_free(n->leases);
                network_take_down(n);
        }
        definitions_save(n);
        return MIN(r, 0);
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
                network_warn(n, fault_text(&f));
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
        if (r < 0)
                operation_free(n); /* and `next` with it */
        return r;
}

/* --- stopping --- */

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
        return r < 0 ? r : begin_steps(n, &network_steps_stop, done, userdata, f);
}

void network_clear(Network *n) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        DefinedDone done = n->operation ? n->operation->done : NULL;
        void *userdata = n->operation ? n->operation->userdata : NULL;

        sd_event_source_disable_unref(n->removal);
        operation_free(n);
        fault_set(&f, FAULT_CANCELED, ECANCELED, "the network %s has gone", n->name);
        if (done)
                done(n, &f, userdata);
        network_fail_waiting(n, &f);
        leases_free(n->leases);
        dnsmasq_free(n->dnsmasq);
        strv_free(n->warnings);
        strv_free(n->blocked);
}
