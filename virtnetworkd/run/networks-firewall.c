/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../mode/mode.h"
#include "../mode/port-forward.h"
#include "foreign-firewall.h"
#include "log.h"
#include "mem.h"
#include "networks.h"
#include "str.h"

/* The rules of all networks together, and those of others beside them. */

#define MEND_USEC (200u * 1000)
#define LOOK_USEC (100u * 1000)
#define LOOK_AGAIN_USEC (2u * 1000 * 1000)

/* --- ours --- */

static int spare_from_port_forwards(Networks *s, Ruleset *rules) {
        bool any = false;
        int r = 0;

        REGISTRY_FOREACH(Network, n, s->set.registry)
                any = any || (n->has_rules && n->live->port_forwards.n > 0);
        REGISTRY_FOREACH(Network, n, s->set.registry)
                if (any && r >= 0 && n->has_rules)
                        r = port_forward_spare(n->live, rules);
        return r;
}

int networks_apply_rules(Networks *s, Fault *f) {
        _cleanup_ruleset_ Ruleset rules = {};
        bool any = false;
        int r;

        if (s->adopting) /* all at once, so that nobody's are missing for a moment */
                return 0;
        r = ruleset_init(&rules);
        if (r >= 0)
                r = spare_from_port_forwards(s, &rules);
        REGISTRY_FOREACH(Network, n, s->set.registry)
                if (r >= 0 && n->has_rules) {
                        r = mode_rules(n->live, network_grants(n), &rules);
                        any = true;
                }
        if (r < 0)
                return fault_oom(f);
        return any ? nft_apply(s->nft, &rules, f) : nft_remove(s->nft, f);
}

static int on_mend(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Networks *s = userdata;

        s->mend = sd_event_source_disable_unref(s->mend);
        if (networks_apply_rules(s, &f) < 0)
                log_error("the firewall's rules can't be put back: %s", fault_text(&f));
        else
                log_notice("somebody else has changed our firewall's rules; they are put back");
        return 0;
}

/* Not at once: who flushes everything has just begun to put his own rules in. */
void networks_on_firewall_changed(bool ours, void *userdata) {
        Networks *s = userdata;

        networks_look_at_firewall(s);
        if (ours && !s->mend && sd_event_add_time_relative(s->event, &s->mend, CLOCK_MONOTONIC, MEND_USEC, 0, on_mend, s) < 0)
                log_warning("the firewall's rules are not put back");
}

/* --- others' --- */

static int look_for(Networks *s, NftDump *d, Network *n) {
        _cleanup_strv_ char **before = TAKE_PTR(n->blocked);
        int r;

        r = foreign_firewall_check(s->links, d, n->live, &n->blocked);
        if (r < 0) {
                n->blocked = TAKE_PTR(before);
                return r;
        }
        for (char **w = n->blocked; *w; w++)
                if (!strv_contains(before, *w))
                        log_warning("network %s: %s", n->name, *w);
        if (!strv_equal(before, n->blocked))
                networks_changed(n, NETWORK_CHANGED_WARNINGS);
        return 0;
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_(nft_dump_freep) NftDump *d = NULL;
        Networks *s = userdata;
        int r;

        s->look = sd_event_source_disable_unref(s->look);
        s->looked = usec;
        r = nft_dump_new(&d);
        REGISTRY_FOREACH(Network, n, s->set.registry)
                if (r >= 0 && n->active)
                        r = look_for(s, d, n);
        if (r == -EAGAIN)
                networks_look_at_firewall(s);
        else if (r < 0)
                (void) log_warning_errno(r, "the host's other firewall rules can't be looked at: %m");
        return 0;
}

/* Soon, but not all the time: some hosts change their rules every second. */
void networks_look_at_firewall(Networks *s) {
        uint64_t now, when;

        if (s->look || sd_event_now(s->event, CLOCK_MONOTONIC, &now) < 0)
                return;
        when = MAX(now + LOOK_USEC, s->looked + LOOK_AGAIN_USEC);
        if (sd_event_add_time(s->event, &s->look, CLOCK_MONOTONIC, when, 0, on_look, s) < 0)
                log_warning("the host's other firewall rules are not looked at");
}
