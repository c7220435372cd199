/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start-steps.h"

#include <string.h>

#include "displays.h"
#include "instance.h"
#include "left-units.h"
#include "manager.h"
#include "mem.h"
#include "qemu-log.h"
#include "sdbus.h"
#include "status.h"
#include "str.h"

#define HANDOVER_TIMEOUT_USEC (30u * 1000 * 1000)   /* from asking for the unit to the supervisor asking for its plan */
#define MONITOR_TIMEOUT_USEC (60u * 1000 * 1000)    /* from handing over to QEMU answering: firmware and much memory take a while */

void start_refuse_request(Start *s, const Fault *f) {
        PlanRequest *request = TAKE_PTR(s->request);

        if (request)
                request->refuse(request, f);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (s->wait == WAIT_MONITOR)
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "QEMU of %s did not answer within %u s", o->domain->name,
                          MONITOR_TIMEOUT_USEC / 1000000);
        else
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the supervisor of %s did not come within %u s", o->domain->name,
                          HANDOVER_TIMEOUT_USEC / 1000000);
        steps_continue(o->steps, -ETIMEDOUT, &f);
        return 0;
}

static int arm_timeout(Operation *o, uint64_t usec) {
        Start *s = o->data;

        s->timeout = sd_event_source_disable_unref(s->timeout);
        return sd_event_add_time_relative(o->domain->manager->event, &s->timeout, CLOCK_MONOTONIC, usec, 0, on_timeout, o);
}

/* --- unit: a supervisor comes and asks for its plan --- */

int start_supervisor_came(Operation *o, Fault *f) {
        Start *s = o->data;
        int r;

        s->wait = WAIT_NOTHING;
        s->timeout = sd_event_source_disable_unref(s->timeout);
        r = instance_set_supervisor(o->domain->instance, s->request->pid, 0, f);
        return r < 0 ? r : 1;
}

static void on_launch_failed(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (s->wait != WAIT_HANDOVER)
                return; /* it has its plan: what becomes of QEMU is seen at the monitor */
        s->wait = WAIT_NOTHING;
        (void) fault_copy(&f, why);
        steps_continue(o->steps, -why->error, &f);
}

int start_begin_unit(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;
        int r;

        if (d->manager->by_unit) {
                r = free_and_strdup(&d->instance->unit, d->unit);
                if (r < 0)
                        return fault_oom(f);
                left_unit_taken(d->manager, d->unit);
        }
        if (s->request) /* the unit was started by somebody else */
                return start_supervisor_came(o, f);
        s->wait = WAIT_HANDOVER;
        r = arm_timeout(o, HANDOVER_TIMEOUT_USEC);
        return r < 0 ? r : launcher_new(d, on_launch_failed, o, &s->launcher, f);
}

static void on_launch_stopped(void *userdata) {
        Operation *o = userdata;

        steps_continue(o->steps, 0, NULL);
}

/* The supervisor is told to kill; its end is waited for, so that the next start finds nothing in its way. One that has not come yet must
 * not come later: it would be a start by itself. */
int start_undo_unit(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        Instance *i = o->domain->instance;
        _cleanup_fault_ Fault f = FAULT_INIT;

        s->timeout = sd_event_source_disable_unref(s->timeout);
        fault_set(&f, FAULT_CANCELED, ECANCELED, "the start of %s failed", o->domain->name);
        start_refuse_request(s, &f);
        if (!i || !process_is_alive(&i->supervisor)) {
                s->wait = WAIT_NOTHING;
                return launcher_stop(s->launcher, on_launch_stopped);
        }
        s->launcher = launcher_free(s->launcher);
        s->wait = WAIT_END;
        if (i->handed_over)
                instance_kill(i);
        else
                instance_expect_end(i); /* it was refused its plan */
        return 0;
}

/* --- networks: what stands beside QEMU, carries its frames and the like --- */

static void on_companions(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (why)
                (void) fault_copy(&f, why);
        else
                o->domain->instance->companions = TAKE_PTR(s->companions); /* watched as long as QEMU runs */
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

int start_begin_networks(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return companions_new(o->domain, o->domain->live, s->prepare, s->secrets, on_companions, o, &s->companions, f);
}

/* They end by themselves when nobody holds the other end of their connection. */
int start_undo_networks(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->companions = companions_abandon(s->companions);
        return 1;
}

/* --- handover: the supervisor gets its plan --- */

int start_begin_handover(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;
        PlanRequest *request;
        int r;

        /* Everything is connected while we still hold the listening sockets: from now on their end is QEMU's end. */
        r = instance_connect_monitor(d->instance, f);
        if (r < 0)
                return r;
        instance_connect_consoles(d->instance);
        r = displays_open(d, false, &d->instance->displays, f);
        if (r < 0)
                return r;

        d->instance->handed_over = true;
        r = status_must_save(d, f);
        if (r < 0) { /* from now on it runs, and the next virtqemud has to know */
                d->instance->handed_over = false;
                return r;
        }
        domain_leases_set_pid(s->leases, d->instance->supervisor.pid); /* who comes after us can't say whose they are: it has not got them */
        request = TAKE_PTR(s->request);
        request->answer(request, prepare_plan(s->prepare), prepare_fds(s->prepare), d);
        s->prepare = prepare_free(s->prepare); /* our copies of the descriptors are closed */
        s->logs = domain_logs_free(s->logs);
        s->ports = domain_ports_free(s->ports);
        s->connections = domain_connections_free(s->connections);
        s->secrets = domain_secrets_free(s->secrets);
        return 1;
}

/* --- monitor: QEMU answers --- */

static int found_qemu(Operation *o, Fault *f) {
        Start *s = o->data;
        int r;

        s->wait = WAIT_NOTHING;
        s->timeout = sd_event_source_disable_unref(s->timeout);
        r = instance_find_qemu(o->domain->instance, f);
        if (r >= 0)
                domain_leases_set_pid(s->leases, o->domain->instance->qemu.pid);
        s->leases = domain_leases_free(s->leases);
        return r;
}

int start_begin_monitor(void *userdata, Fault *f) {
        Operation *o = userdata;
        Instance *i = o->domain->instance;
        Start *s = o->data;
        int r;

        if (!i->qmp) { /* taken up after a restart of ours */
                r = instance_connect_monitor(i, f);
                if (r < 0)
                        return r;
        }
        if (i->monitor_ready) {
                r = found_qemu(o, f);
                return r < 0 ? r : 1;
        }
        s->wait = WAIT_MONITOR;
        r = arm_timeout(o, MONITOR_TIMEOUT_USEC);
        return r < 0 ? r : 0;
}

bool start_monitor_ready(Domain *d) {
        Start *s = start_of(d);
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!s)
                return false;
        if (s->wait == WAIT_MONITOR)
                steps_continue(d->operation->steps, found_qemu(d->operation, &f), &f);
        return true;
}

/* What the supervisor passed on of QEMU's own words, where there are any. */
static void fail_now(Domain *d, const Fault *why) {
        _cleanup_free_ char *words = qemu_log_last_words(d);
        Fault f = FAULT_INIT;

        if (words)
                fault_set(&f, FAULT_QEMU, EIO, "QEMU of %s ended during the start: %s", d->name, words);
        else if (why)
                (void) fault_copy(&f, why);
        else
                fault_set(&f, FAULT_QEMU, EIO, "QEMU of %s ended during the start without saying why", d->name);
        steps_cancel(d->operation->steps, &f);
}

static int on_words_written(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Operation *o = userdata;
        Start *s = o->data;

        s->words = sd_bus_slot_unref(s->words);
        if (!steps_undoing(o->steps))
                fail_now(o->domain, NULL);
        return 0;
}

/* What virtlogd has not yet taken out of the pipe is in the file when it has answered. */
static void fail_with_last_words(Domain *d, const Fault *why) {
        Operation *o = d->operation;
        Start *s = o->data;

        if (s->words)
                return;
        s->wait = WAIT_NOTHING;
        s->timeout = sd_event_source_disable_unref(s->timeout);
        s->registration = machine_registration_free(s->registration);
        if (why || !d->instance->log_by_daemon || qemu_log_sync(d, on_words_written, o, &s->words) < 0)
                fail_now(d, why);
}

void start_monitor_closed(Domain *d, const Fault *why) {
        Start *s = start_of(d);

        /* QEMU's end comes right after, with more to tell; only a monitor that breaks while QEMU lives on is a failure by itself. */
        if (s && !steps_undoing(d->operation->steps) && d->instance && process_is_alive(&d->instance->supervisor) &&
            why->kind != FAULT_DISCONNECTED)
                fail_with_last_words(d, why);
}

bool start_qemu_ended(Domain *d) {
        Start *s = start_of(d);

        if (!s)
                return false;
        if (steps_undoing(d->operation->steps)) {
                if (s->wait == WAIT_END && !process_is_alive(&d->instance->supervisor)) {
                        s->wait = WAIT_NOTHING;
                        steps_continue(d->operation->steps, 0, NULL);
                }
        } else
                fail_with_last_words(d, NULL);
        return true;
}
