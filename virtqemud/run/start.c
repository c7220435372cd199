/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start-steps.h"

#include "instance.h"
#include "left-units.h"
#include "manager.h"
#include "mem.h"
#include "stop.h"

static void start_free(void *data) {
        Start *s = data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_CANCELED, ECANCELED, "the start was given up");
        start_refuse_request(s, &f);
        caps_wait_free(s->caps_wait);
        caps_free(s->caps);
        prepare_free(s->prepare);
        launcher_free(s->launcher);
        machine_registration_free(s->registration);
        companions_free(s->companions);
        domain_volumes_free(s->volumes);
        domain_logs_free(s->logs);
        domain_leases_free(s->leases);
        domain_ports_free(s->ports);
        domain_connections_free(s->connections);
        domain_secrets_free(s->secrets);
        unit_call_free(s->limits);
        sd_bus_slot_unref(s->words);
        sd_event_source_disable_unref(s->timeout);
        free(s);
}

/* Steps up to this one are over once the plan was handed over; what is interrupted later is taken up with the one after it. */
#define STEP_HANDOVER 12

static const StepTable start_steps = STEP_TABLE("start",
        { "leaving", start_begin_leaving, NULL },
        { "capabilities", start_begin_capabilities, start_undo_capabilities },
        { "volumes", start_begin_volumes, start_undo_volumes },
        { "secrets", start_begin_secrets, start_undo_secrets },
        { "logs", start_begin_logs, start_undo_logs },
        { "prepare", start_begin_prepare, start_undo_prepare },
        { "leases", start_begin_leases, start_undo_leases },
        { "connections", start_begin_connections, start_undo_connections },
        { "ports", start_begin_ports, start_undo_ports },
        { "unit", start_begin_unit, start_undo_unit },
        { "networks", start_begin_networks, start_undo_networks },
        { "devices", start_begin_devices, start_undo_limits },
        [STEP_HANDOVER] = { "handover", start_begin_handover, NULL },
        { "monitor", start_begin_monitor, NULL },
        { "limits", start_begin_limits, start_undo_limits },
        { "register", start_begin_register, start_undo_register },
        { "run", start_begin_run, NULL },
);

static void start_finished(Operation *o, int error, const Fault *f) {
        Domain *d = o->domain;
        Start *s = o->data;

        if (error >= 0)
                return;
        start_refuse_request(s, f);
        if (s->ours && d->leaving)
                left_unit_forget(d->manager, d->unit);
        d->live = domain_def_free(d->live);
        d->live_generation = 0;
        domain_set_state(d, DOMAIN_SHUTOFF, error == -ECANCELED ? REASON_DESTROYED : REASON_FAILED);
        domain_changed(d, DOMAIN_CHANGED_LIVE);
        stop_domain_off(d); /* whoever terminated it hears of it */
}

static const OperationType start_type = {
        .name = "start",
        .steps = &start_steps,
        .free_data = start_free, .finished = start_finished,
};

Start *start_of(const Domain *d) {
        return d->operation && d->operation->type == &start_type ? d->operation->data : NULL;
}

static int begin(Domain *d, unsigned flags, PlanRequest *request, size_t first, Operation **ret, Fault *f) {
        Start *s = new0(Start, 1);

        if (!s) {
                fault_oom(f);
                if (request)
                        request->refuse(request, f);
                return -ENOMEM;
        }
        s->flags = flags;
        s->request = request;
        s->ours = first == 0 && !request;
        return operation_begin(d, &start_type, first, s, ret, f);
}

int start_domain(Domain *d, unsigned flags, Operation **ret, Fault *f) {
        assert(d);

        if (d->state == DOMAIN_BROKEN) {
                fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s can't be started: %s", d->name, fault_text(&d->broken));
                fault_hint(f, "mend its definition");
                return -EINVAL;
        }
        if (domain_state_is_active(d->state) && !d->operation)
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "%s is %s already", d->name, domain_state_to_string(d->state));
        return begin(d, flags, NULL, 0, ret, f);
}

void start_if_wanted(Domain *d) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        assert(d);

        if (!d->start_again || d->operation)
                return;
        d->start_again = false;
        if (domain_state_is_active(d->state))
                return; /* somebody else was faster */
        r = d->config ? start_domain(d, 0, NULL, &f)
                      : fault_set(&f, FAULT_INVALID_STATE, EINVAL, "it is transient, and its definition went with it");
        if (r < 0)
                log_domain_warning(d, "it is not started again: %s", fault_is_set(&f) ? fault_text(&f) : strerror(-r));
}

void start_again(Domain *d) {
        assert(d);

        d->start_again = true;
        start_if_wanted(d);
}

int start_resume(Domain *d, unsigned flags, Fault *f) {
        assert(d && d->instance);

        return begin(d, flags, NULL, STEP_HANDOVER + 1, NULL, f);
}

/* Why a unit that was started from outside can't become this domain; 0: it can. */
static int check_outside_start(const Domain *d, Fault *f) {
        if (d->state == DOMAIN_BROKEN)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s: %s", d->name, fault_text(&d->broken));
        if (d->operation)
                return fault_set(f, FAULT_BUSY, EBUSY, "%s is busy: job %u (%s) is under way", d->name, d->operation->id,
                                 d->operation->name);
        if (domain_state_is_active(d->state))
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "%s is %s already", d->name, domain_state_to_string(d->state));
        return 0;
}

void start_supervisor_asks(Domain *d, PlanRequest *request) {
        Start *s = start_of(d);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!s) {
                r = check_outside_start(d, &f);
                if (r < 0)
                        request->refuse(request, &f);
                else
                        (void) begin(d, 0, request, 0, NULL, &f); /* refuses it itself when it fails */
                return;
        }
        if (s->request || steps_undoing(d->operation->steps) || (d->instance && d->instance->handed_over)) {
                fault_set(&f, FAULT_INVALID_STATE, EALREADY, "the plan of %s was given away already", d->name);
                request->refuse(request, &f);
                return;
        }
        s->request = request;
        if (s->wait == WAIT_HANDOVER) {
                r = start_supervisor_came(d->operation, &f);
                steps_continue(d->operation->steps, r, &f);
        } else
                start_unit_left(d); /* it comes from the new unit, so the old one is gone */
}

bool start_is_paused(const Domain *d) {
        const Start *s = start_of(d);

        return s && (s->flags & START_PAUSED);
}

bool start_is_without_leases(const Domain *d) {
        const Start *s = start_of(d);

        return s && !s->leases && !(d->instance && d->instance->handed_over);
}

bool start_is_under_way(const Domain *d, unsigned *ret_flags) {
        const Start *s = start_of(d);

        if (s)
                *ret_flags = s->flags;
        return s;
}
