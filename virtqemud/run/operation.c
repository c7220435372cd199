/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "operation.h"

#include "manager.h"
#include "mem.h"
#include "start.h"
#include "status.h"

static void on_entered(Steps *s, const char *step, void *userdata) {
        Operation *o = userdata;

        log_domain_debug(o->domain, "%s: %s", o->name, step);
        status_save(o->domain);
        domain_changed(o->domain, DOMAIN_CHANGED_OPERATION);
}

static void on_finished(Steps *s, int error, const Fault *f, void *userdata) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Manager *m = d->manager;

        o->ended = true;
        if (o->type->finished)
                o->type->finished(o, error, f);
        if (error < 0)
                domain_set_error(d, f);

        d->operation = NULL;
        m->busy--;
        status_save(d);
        domain_changed(d, DOMAIN_CHANGED_OPERATION);
        m->watch.operation_finished(o, error, f, m->watch_userdata);
        operation_free(o);
        start_if_wanted(d);
        domain_settle(d);
}

int operation_begin(Domain *d, const OperationType *type, size_t first_step, void *data, Operation **ret, Fault *f) {
        static const StepsWatch watch = { .entered = on_entered, .finished = on_finished };
        _cleanup_(operation_freep) Operation *o = NULL;
        int r;

        assert(d && type);

        o = new0(Operation, 1);
        if (!o) {
                if (type->free_data)
                        type->free_data(data);
                return fault_oom(f);
        }
        o->type = type;
        o->name = type->name;
        o->data = data;

        if (d->operation) {
                fault_set(f, FAULT_BUSY, EBUSY, "%s is busy: job %u (%s) is under way", d->name, d->operation->id,
                          d->operation->name);
                fault_hint(f, "wait for it or cancel it");
                return -EBUSY;
        }
        r = steps_new(d->manager->event, type->steps, first_step, &watch, o, &o->steps);
        if (r < 0)
                return r;

        o->domain = d;
        o->id = ++d->manager->last_operation;
        d->operation = o;
        d->manager->busy++;
        domain_changed(d, DOMAIN_CHANGED_OPERATION);
        if (ret)
                *ret = o;
        o = NULL;
        return 0;
}

void operation_continue(Operation *o, const Fault *why) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert(o);

        if (why)
                (void) fault_copy(&f, why);
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

void operation_progress(Operation *o, uint64_t done, uint64_t total) {
        assert(o);

        o->done = done;
        o->total = total;
        domain_changed(o->domain, DOMAIN_CHANGED_PROGRESS);
}

void operation_qemu_ended(Operation *o) {
        Fault why = FAULT_INIT;

        fault_set(&why, FAULT_DISCONNECTED, ENOTCONN, "QEMU of %s has ended", o->domain->name);
        operation_cancel(o, &why);
}

void operation_cancel(Operation *o, Fault *why) {
        assert(o);

        steps_cancel(o->steps, why);
}

static void drop(Operation *o) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_STOPPING, ESHUTDOWN, "virtqemud is being stopped: %s of %s is finished or undone when it is back", o->name, o->domain->name);
        o->type->dropped(o, &f);
}

Operation *operation_free(Operation *o) {
        if (!o)
                return NULL;
        if (o->domain && !o->ended && o->type->dropped)
                drop(o);
        if (o->domain && o->domain->operation == o) {
                o->domain->operation = NULL;
                if (o->domain->manager)
                        o->domain->manager->busy--;
        }
        steps_free(o->steps);
        if (o->type->free_data)
                o->type->free_data(o->data);
        free(o);
        return NULL;
}
