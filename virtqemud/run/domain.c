/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"

#include <stdarg.h>
#include <stdio.h>

#include "clock.h"
#include "companions.h"
#include "events.h"
#include "instance.h"
#include "left-units.h"
#include "manager.h"
#include "mem.h"
#include "operation.h"
#include "plan-only.h"
#include "status.h"
#include "stop.h"
#include "str.h"
#include "unit.h"

int domain_new(Manager *m, const char *name, sd_id128_t uuid, DomainDef *config, Domain **ret) {
        _cleanup_(domain_def_freep) DomainDef *owned = config;
        _cleanup_(domain_freep) Domain *d = NULL;
        int r;

        assert(m && name);

        d = new0(Domain, 1);
        if (!d)
                return -ENOMEM;
        d->name = strdup(name);
        if (!d->name)
                return -ENOMEM;
        d->uuid = uuid;
        (void) sd_id128_to_uuid_string(uuid, d->uuid_string);
        if (m->by_unit && unit_name_from_instance("virtqemu", name, ".service", &d->unit) < 0)
                return -ENOMEM;
        d->scope = (LogScope) { .domain = d->name, .uuid = d->uuid_string, .unit = d->unit, .user = m->user };
        d->config = TAKE_PTR(owned);
        d->config_generation = 1;
        d->state_usec = now_usec(CLOCK_REALTIME);

        r = manager_link(m, d);
        if (r < 0)
                return r;
        m->watch.added(d, m->watch_userdata);
        if (ret)
                *ret = d;
        d = NULL;
        return 0;
}

Domain *domain_free(Domain *d) {
        if (!d)
                return NULL;
        /* What is under way takes back what it has asked of the manager. */
        plan_only_clear(d);
        operation_free(d->operation);
        stop_forget(d);
        if (d->manager) {
                d->manager->watch.removed(d, d->manager->watch_userdata);
                manager_unlink(d->manager, d);
        }
        events_free(d->events);
        instance_free(d->instance);
        unit_gone_free(d->leaving);
        domain_def_free(d->config);
        domain_def_free(d->live);
        fault_clear(&d->broken);
        fault_clear(&d->last_error);
        strv_free(d->warnings);
        strv_free(d->tainted);
        free(d->pause_reason);
        free(d->live_text);
        free(d->unit);
        free(d->name);
        free(d);
        return NULL;
}

void domain_changed(Domain *d, unsigned what) {
        assert(d);

        if (what & (DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_MEMORY))
                free_and_replace(&d->live_text, NULL);
        if ((what & (DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_CONFIG)) && d->live && d->config && domain_match_ids(d->config, d->live) < 0)
                log_domain_warning(d, "out of memory: names of devices may be ambiguous until it is off");
        d->manager->watch.changed(d, what, d->manager->watch_userdata);
}

void domain_set_state(Domain *d, DomainState state, StateReason reason) {
        DomainState old;

        assert(d);

        old = d->state;
        if (old == state && d->reason == reason)
                return;
        /* A state that can't follow is a bug of ours, but a wrong word about a running guest would be worse than none. */
        if (!domain_state_may_follow(old, state)) {
                log_domain_warning(d, "can't go from state %s to %s (%s)", domain_state_to_string(old),
                                   domain_state_to_string(state), state_reason_to_string(reason));
                return;
        }

        d->state = state;
        d->reason = reason;
        d->state_usec = now_usec(CLOCK_REALTIME);
        if (state == DOMAIN_STARTING) {
                d->start_usec = d->state_usec;
                events_clear(d);
        }
        if (state != DOMAIN_PAUSED)
                free_and_replace(&d->pause_reason, NULL);

        log_domain_info(d, "%s -> %s (%s)", domain_state_to_string(old), domain_state_to_string(state),
                        state_reason_to_string(reason));
        status_save(d);
        d->manager->watch.state(d, old, d->manager->watch_userdata);
        domain_changed(d, DOMAIN_CHANGED_STATE);
}

int domain_warn(Domain *d, const char *fmt, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        assert(d);

        va_start(ap, fmt);
        r = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        if (strv_contains(d->warnings, text))
                return 0;
        log_domain_warning(d, "%s", text);
        r = strv_push(&d->warnings, text);
        domain_changed(d, DOMAIN_CHANGED_WARNINGS);
        return r;
}

void domain_taint(Domain *d, const char *how) {
        assert(d && how);

        if (strv_contains(d->tainted, how) || strv_push(&d->tainted, how) < 0)
                return;
        log_domain_notice(d, "tainted: %s", how);
        if (d->instance)
                (void) status_save(d);
        domain_changed(d, DOMAIN_CHANGED_TAINTED);
}

void domain_set_error(Domain *d, const Fault *f) {
        assert(d);

        fault_clear(&d->last_error);
        if (f)
                (void) fault_copy(&d->last_error, f);
        if (f && fault_is_set(f))
                log_domain_warning(d, "%s", fault_text(f));
        domain_changed(d, DOMAIN_CHANGED_ERROR);
}

bool domain_is_over(const Domain *d) {
        assert(d);

        return !d->config && d->state == DOMAIN_SHUTOFF && !d->instance && !d->operation && !d->terminations;
}

static void forget_unit(const Domain *d) {
        if (d->leaving)
                left_unit_forget(d->manager, d->unit);
        else if (d->may_have_failed && d->manager->by_unit && d->manager->bus)
                unit_reset_failed(d->manager->bus, d->unit);
}

void domain_settle(Domain *d) {
        Manager *m;

        assert(d);

        m = d->manager;
        if (domain_is_over(d)) {
                if (!d->keeps_state)
                        companions_remove_state(d);
                manager_forget_user(m, d->unit);
                forget_unit(d);
                domain_free(d);
        }
        manager_busy_changed(m);
}
