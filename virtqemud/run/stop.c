/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stop.h"

#include <signal.h>
#include <string.h>

#include "guest-agent.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "monitor.h"
#include "sdbus.h"

/* What a shutdown or reboot that is under way holds. */
typedef struct Stopping {
        bool reboot;
        StopMode mode;
        uint64_t timeout_usec;
        sd_event_source *again, *timeout;
        QgaCall *asked;
} Stopping;

DEFINE_ENUM(StopMode, stop_mode, "any", "acpi", "agent")

static void stopping_free(void *data) {
        Stopping *s = data;

        sd_event_source_disable_unref(s->again);
        sd_event_source_disable_unref(s->timeout);
        qga_call_free(s->asked);
        free(s);
}

/* --- the agent --- */

/* One that does as it is told says nothing more. */
static void on_agent(json_t *result, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Stopping *s = o->data;

        if (!why || why->kind == FAULT_TIMEOUT || why->kind == FAULT_DISCONNECTED)
                return;
        if (s->mode == STOP_AGENT)
                operation_continue(o, why);
        else
                log_domain_notice(o->domain, "%s", fault_text(why));
}

/* 0: it was asked. */
static int ask_agent(Operation *o, const char *mode, Fault *f) {
        Stopping *s = o->data;

        return domain_ask_guest(o->domain, "guest-shutdown", json_pack("{s:s}", "mode", mode), 0, on_agent, o, &s->asked, f);
}

static bool has_agent(const Domain *d) {
        return domain_agent_state(d) == AGENT_CONNECTED;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *o = userdata;

        if (o->domain->instance)
                monitor_tell(o->domain->instance, "system_powerdown", NULL);
        (void) sd_event_source_set_time_relative(source, POWERDOWN_INTERVAL_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *o = userdata;
        Stopping *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (s->reboot && o->domain->instance) {
                log_domain_notice(o->domain, "the guest ignores the power button, resetting it");
                monitor_tell(o->domain->instance, "system_reset", NULL);
                return 0; /* RESET ends the step */
        }
        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the guest of %s did not power off within %" PRIu64 " s", o->domain->name,
                  s->timeout_usec / 1000000);
        fault_hint(&f, "it may have no ACPI support or be stuck; Terminate() ends it at once");
        steps_continue(o->steps, -ETIMEDOUT, &f);
        return 0;
}

static int begin_shutdown(void *userdata, Fault *f) {
        Operation *o = userdata;
        Stopping *s = o->data;
        Instance *i = o->domain->instance;
        sd_event *event = o->domain->manager->event;
        int r;

        if (!i)
                return 1;
        monitor_end_on_shutdown(i, true);
        /* Stopped vCPUs can't see a button. */
        if (o->domain->state == DOMAIN_PAUSED)
                monitor_tell(i, "cont", NULL);
        if (o->domain->state == DOMAIN_PMSUSPENDED)
                monitor_tell(i, "system_wakeup", NULL);
        if (s->mode == STOP_AGENT) {
                r = ask_agent(o, "powerdown", f);
                if (r < 0)
                        return r;
        } else if (s->mode == STOP_ANY && has_agent(o->domain))
                (void) ask_agent(o, "powerdown", NULL);
        if (s->mode != STOP_AGENT)
                monitor_tell(i, "system_powerdown", NULL);

        r = s->mode == STOP_AGENT ? 0 : sd_event_add_time_relative(event, &s->again, CLOCK_MONOTONIC, POWERDOWN_INTERVAL_USEC, 0, on_again, o);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &s->timeout, CLOCK_MONOTONIC, s->timeout_usec, 0, on_timeout, o);
        return r < 0 ? r : 0;
}

static void stop_timers(Stopping *s) {
        s->again = sd_event_source_disable_unref(s->again);
        s->timeout = sd_event_source_disable_unref(s->timeout);
}

static int undo_shutdown(void *userdata) {
        Operation *o = userdata;

        stop_timers(o->data);
        if (o->domain->instance)
                monitor_end_on_shutdown(o->domain->instance, false);
        return 1;
}

/* The supervisor presses the power button and resets the guest when it has powered off, as it does for "machinectl reboot". */
static int press_button(Operation *o, Fault *f) {
        int r = process_signal(&o->domain->instance->supervisor, SIGINT);

        return r < 0 ? fault_set(f, FAULT_UNIT, -r, "%s: the supervisor can't be reached: %s", o->domain->name, strerror(-r)) : 0;
}

static int on_agent_slow(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o = userdata;
        int r;

        log_domain_notice(o->domain, "the guest's agent has not rebooted it, pressing the power button");
        r = press_button(o, &f);
        if (r < 0)
                steps_continue(o->steps, r, &f);
        return 0;
}

static int begin_reboot(void *userdata, Fault *f) {
        Operation *o = userdata;
        Stopping *s = o->data;
        bool by_agent = s->mode == STOP_AGENT || (s->mode == STOP_ANY && has_agent(o->domain));
        int r;

        if (!o->domain->instance)
                return 1;
        r = by_agent ? ask_agent(o, "reboot", f) : press_button(o, f);
        if (r >= 0 && by_agent && s->mode == STOP_ANY)
                r = sd_event_add_time_relative(o->domain->manager->event, &s->again, CLOCK_MONOTONIC, AGENT_REBOOT_USEC, 0, on_agent_slow, o);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(o->domain->manager->event, &s->timeout, CLOCK_MONOTONIC, s->timeout_usec, 0, on_timeout, o);
        return r < 0 ? r : 0;
}

static int undo_reboot(void *userdata) {
        Operation *o = userdata;

        stop_timers(o->data);
        return 1;
}

static const StepTable shutdown_steps = STEP_TABLE("shutdown",
        { "shutdown", begin_shutdown, undo_shutdown },
);

static const StepTable reboot_steps = STEP_TABLE("reboot",
        { "reboot", begin_reboot, undo_reboot },
);

static const OperationType shutdown_type = {
        .name = "shutdown", .steps = &shutdown_steps, .free_data = stopping_free,
};

static const OperationType reboot_type = {
        .name = "reboot", .steps = &reboot_steps, .free_data = stopping_free,
};

/* The guest can only be asked when it runs or can be made to. */
static int check_can_ask(const Domain *d, Fault *f) {
        switch (d->state) {
        case DOMAIN_RUNNING:
        case DOMAIN_PAUSED:
        case DOMAIN_PMSUSPENDED:
                break;
        case DOMAIN_SHUTOFF:
        case DOMAIN_BROKEN:
        case DOMAIN_STARTING:
        case DOMAIN_SHUTDOWN:
        case DOMAIN_CRASHED:
        case _DOMAIN_STATE_MAX:
        case _DOMAIN_STATE_INVALID:
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is %s: there is no running guest to ask", d->name,
                                 domain_state_to_string(d->state));
        }
        if (!d->instance || !d->instance->monitor_ready)
                return fault_set(f, FAULT_DISCONNECTED, ENOTCONN, "%s: QEMU's monitor does not answer", d->name);
        return 0;
}

static int begin(Domain *d, const OperationType *type, bool reboot, StopMode mode, uint64_t timeout_usec, Operation **ret, Fault *f) {
        Stopping *s;
        int r;

        assert(d);

        r = check_can_ask(d, f);
        if (r < 0)
                return r;
        s = new0(Stopping, 1);
        if (!s)
                return fault_oom(f);
        s->reboot = reboot;
        s->mode = mode;
        s->timeout_usec = timeout_usec;
        return operation_begin(d, type, 0, s, ret, f);
}

int stop_shutdown(Domain *d, StopMode mode, uint64_t timeout_usec, Operation **ret, Fault *f) {
        return begin(d, &shutdown_type, false, mode, timeout_usec ?: SHUTDOWN_TIMEOUT_USEC, ret, f);
}

int stop_reboot(Domain *d, StopMode mode, Operation **ret, Fault *f) {
        return begin(d, &reboot_type, true, mode, REBOOT_TIMEOUT_USEC, ret, f);
}

void stop_guest_reset(Domain *d) {
        assert(d);

        if (!d->operation || d->operation->type != &reboot_type)
                return;
        if (!steps_undoing(d->operation->steps))
                steps_settle(d->operation->steps);
        steps_continue(d->operation->steps, 0, NULL);
}

/* --- Terminate --- */

typedef struct Termination {
        Domain *domain;
        StopDone done;
        void *userdata;
        sd_event_source *timeout;
        struct Termination *next;
} Termination;

static void termination_end(Termination *t, int error, const Fault *f) {
        Termination **p;

        for (p = &t->domain->terminations; *p != t; p = &(*p)->next)
                ;
        *p = t->next;
        sd_event_source_disable_unref(t->timeout);
        t->done(t->domain, error, f, t->userdata);
        free(t);
}

static int on_terminate_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Termination *t = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s: QEMU was killed but has not ended", t->domain->name);
        fault_hint(&f, "it is stuck in the kernel, most likely on storage that does not answer");
        termination_end(t, -ETIMEDOUT, &f);
        return 0;
}

int stop_terminate(Domain *d, StopDone done, void *userdata, Fault *f) {
        Termination *t;
        int r;

        assert(d && done);

        if (!domain_state_is_active(d->state))
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is not running", d->name);

        t = new0(Termination, 1);
        if (!t)
                return fault_oom(f);
        *t = (Termination) { .domain = d, .done = done, .userdata = userdata, .next = d->terminations };
        r = sd_event_add_time_relative(d->manager->event, &t->timeout, CLOCK_MONOTONIC, TERMINATE_TIMEOUT_USEC, 0,
                                       on_terminate_timeout, t);
        if (r < 0) {
                free(t);
                return r;
        }
        d->terminations = t;

        if (d->operation) {
                Fault why = FAULT_INIT;

                fault_set(&why, FAULT_CANCELED, ECANCELED, "%s was terminated", d->name);
                operation_cancel(d->operation, &why);
        }
        if (d->instance)
                instance_kill(d->instance);
        return 0;
}

bool stop_is_wanted(const Domain *d) {
        assert(d);

        return d->terminations || (d->operation && d->operation->type == &shutdown_type);
}

void stop_domain_off(Domain *d) {
        assert(d);

        if (d->operation && (d->operation->type == &shutdown_type || d->operation->type == &reboot_type)) {
                Fault f = FAULT_INIT;
                bool wanted = d->operation->type == &shutdown_type;

                if (!wanted)
                        fault_set(&f, FAULT_CANCELED, ECANCELED, "%s went off instead of rebooting", d->name);
                if (wanted && !steps_undoing(d->operation->steps))
                        steps_settle(d->operation->steps);
                steps_continue(d->operation->steps, wanted ? 0 : -ECANCELED, &f);
        }
        while (d->terminations)
                termination_end(d->terminations, 0, NULL);
}

void stop_forget(Domain *d) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_STOPPING, ESHUTDOWN, "virtqemud is being stopped before %s has ended", d->name);
        while (d->terminations)
                termination_end(d->terminations, -ESHUTDOWN, &f);
}
