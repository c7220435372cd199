/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "retune.h"

#include "../plan/tune.h"
#include "../qmp/qmp-script.h"
#include "config-edit.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "plug-journal.h"
#include "status.h"
#include "str.h"
#include "thread-pin.h"
#include "thread-quota.h"
#include "unit-limits.h"

#define NAME "its tuning" /* in the plug journal */

typedef struct Retune {
        bool validate_only;
        ConfigEdit *edit;
        DomainDef *after;            /* the running definition as it will be; once it is so, as it was. NULL: it stays */
        json_t *commands;
        QmpScript *script;
        UnitCall *limits;
        char **plan;
        RetuneDone done;
        void *userdata;
} Retune;

static void retune_free(void *data) {
        Retune *t = data;

        qmp_script_free(t->script);
        unit_call_free(t->limits);
        config_edit_free(t->edit);
        domain_def_free(t->after);
        json_decref(t->commands);
        strv_free(t->plan);
        free(t);
}

/* --- look: what it will be --- */

static int edit(DomainDef *def, void *userdata, Fault *f) {
        const RetuneSpec *spec = userdata;
        int r = 0;

        for (size_t i = 0; i < spec->n && r >= 0; i++)
                r = tuning_set(def, &spec->values[i], f);
        return r;
}

static int edit_live(Domain *d, const RetuneSpec *spec, DomainDef **ret, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *after = NULL;
        int r;

        if (plug_journal_check(d, f) < 0)
                return -EBUSY;
        if (!d->live || !d->instance || !d->instance->monitor_ready)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: only its definition can be changed", d->name,
                                 domain_state_to_string(d->state));
        if (domain_copy(d->live, &after) < 0)
                return fault_oom(f);
        r = edit(after, (void *) spec, f);
        if (r >= 0)
                r = domain_check(after, NULL, &d->manager->defaults, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(after);
        return 0;
}

static int look(Domain *d, Retune *t, const RetuneSpec *spec, Fault *f) {
        bool said = spec->live || spec->config;
        bool live = said ? spec->live : d->live != NULL, config = said ? spec->config : !d->live;
        int r = live ? edit_live(d, spec, &t->after, f) : 0;

        if (r >= 0 && t->after) {
                t->commands = json_array();
                r = t->commands ? tuning_commands(d->live, t->after, t->commands) : -ENOMEM;
        }
        if (r >= 0 && config)
                r = config_edit_new(d, edit, (void *) spec, &t->edit, f);
        return r == -ENOMEM && !fault_is_set(f) ? fault_oom(f) : r;
}

/* --- journal: if we don't live to see the end, all is as it was --- */

static int begin_journal(void *userdata, Fault *f) {
        Operation *o = userdata;
        const Retune *t = o->data;
        int r;

        if (t->validate_only || !t->after)
                return 1;
        r = plug_journal_write(o->domain, &(PlugRecord) {
                .device = NAME, .way = PLUG_BACK, .commands = t->commands, .config = config_edit_before(t->edit), .next = t->after, .tuned = true,
        }, f);
        return r < 0 ? r : 1;
}

/* --- define --- */

static int begin_define(void *userdata, Fault *f) {
        Operation *o = userdata;
        Retune *t = o->data;

        return t->validate_only ? 1 : config_edit_store(t->edit, o, f);
}

static int undo_define(void *userdata) {
        Operation *o = userdata;

        return config_edit_restore(((Retune *) o->data)->edit, o);
}

/* --- threads: QEMU's --- */

static Qmp *get_qmp(void *userdata) {
        return domain_qmp(((Operation *) userdata)->domain);
}

static void on_script(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Retune *t = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        t->script = qmp_script_free(t->script);
        if (why && !steps_undoing(o->steps))
                (void) fault_copy(&f, why);
        steps_continue(o->steps, why && !steps_undoing(o->steps) ? -why->error : 0, &f);
}

static int begin_threads(void *userdata, Fault *f) {
        Operation *o = userdata;
        Retune *t = o->data;

        if (t->validate_only || json_array_size(t->commands) == 0)
                return 1;

        const QmpScriptSpec spec = {
                .event = o->domain->manager->event, .get_qmp = get_qmp, .commands = t->commands, .done = on_script, .userdata = o,
                .name = "retune",
        };

        return qmp_script_new(&spec, &t->script);
}

/* The script undoes by itself what it had done when it fails; later failures find it gone, and its commands are taken back one by one. */
static int undo_threads(void *userdata) {
        Operation *o = userdata;
        Retune *t = o->data;
        json_auto_t *back = json_array();

        if (t->script) {
                qmp_script_undo(t->script);
                return 0;
        }
        if (t->validate_only || !t->after || !steps_undoing(o->steps))
                return 1;
        if (!back || tuning_commands(t->after, o->domain->live, back) < 0 || json_array_size(back) == 0)
                return 1;

        const QmpScriptSpec spec = {
                .event = o->domain->manager->event, .get_qmp = get_qmp, .commands = back, .done = on_script, .userdata = o, .go_on = true,
        };

        json_decref(t->commands);
        t->commands = json_incref(back);
        return qmp_script_new(&spec, &t->script) < 0 ? 1 : 0;
}

/* --- limits: the unit's --- */

static void on_limits(const Fault *f, void *userdata) {
        Operation *o = userdata;
        Retune *t = o->data;

        operation_continue(o, f);
        t->limits = unit_call_free(t->limits);
}

static int begin_limits(void *userdata, Fault *f) {
        Operation *o = userdata;
        Retune *t = o->data;

        return t->validate_only || !t->after ? 1 : limits_change(o->domain, o->domain->live, t->after, on_limits, o, &t->limits, f);
}

static int undo_limits(void *userdata) {
        Operation *o = userdata;
        Retune *t = o->data;

        t->limits = unit_call_free(t->limits);
        if (!t->after || t->validate_only)
                return 1;
        return limits_change(o->domain, t->after, o->domain->live, on_limits, o, &t->limits, NULL) == 0 ? 0 : 1;
}

/* --- pins --- */

static void on_not_pinned(const char *name, const char *list, void *userdata) {
        (void) domain_warn(userdata, "QEMU's thread \"%s\" can't be kept on the CPUs %.*s: %m", name, (int) strcspn(list, ";"), list);
}

static void on_not_scheduled(const char *name, const char *text, void *userdata) {
        (void) domain_warn(userdata, "QEMU's thread \"%s\" can't be scheduled as %.*s: %m", name, (int) strcspn(text, ";"), text);
}

void retune_schedule(Domain *d) {
        _cleanup_free_ char *schedulers = NULL;

        if (d->live && d->instance && tune_schedulers(d->live, &schedulers) >= 0)
                threads_schedule(d->instance->qemu.pid, schedulers, on_not_scheduled, d);
}

void retune_pin_again(Domain *d) {
        _cleanup_free_ char *pins = NULL;

        if (d->live && d->instance && tune_pins(d->live, &pins) >= 0)
                threads_pin(d->instance->qemu.pid, pins, on_not_pinned, d);
        retune_schedule(d);
        if (d->live && d->instance)
                thread_quotas_apply(d, d->live);
}

/* What threads run on, and how much of it: of a definition that may not be the live one yet. */
static int apply_pins(Domain *d, const DomainDef *before, const DomainDef *after) {
        _cleanup_free_ char *pins = NULL;

        if (tuning_pins(before, after, &pins) < 0)
                return -ENOMEM;
        threads_pin(d->instance->qemu.pid, pins, on_not_pinned, d);
        retune_schedule(d);
        thread_quotas_apply(d, after);
        return 0;
}

int retune_take_back(Domain *d, const DomainDef *after, Fault *f) {
        int r;

        assert(d && after);

        if (!d->live || !d->instance)
                return 0;
        r = limits_take_back(d, after, d->live);
        if (r >= 0)
                r = apply_pins(d, after, d->live);
        return r < 0 ? fault_oom(f) : 0;
}

static int begin_pins(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Retune *t = o->data;

        if (t->validate_only || !t->after || !d->instance)
                return 1;
        return apply_pins(d, d->live, t->after) < 0 ? fault_oom(f) : 1;
}

static int undo_pins(void *userdata) {
        Operation *o = userdata;
        Domain *d = o->domain;
        const Retune *t = o->data;

        if (!t->validate_only && t->after && d->instance && apply_pins(d, t->after, d->live) < 0)
                (void) domain_warn(d, "out of memory: its threads are not all where they were");
        return 1;
}

/* --- tell --- */

static int list_plan(Operation *o, Retune *t) {
        _cleanup_unit_properties_ UnitProperties p = {};
        _cleanup_free_ char *pins = NULL;
        int r = 0;

        if (t->after) {
                r = qmp_commands_to_lines(t->commands, &t->plan);
                if (r >= 0)
                        r = tune_change(o->domain->live, t->after, &p);
                for (size_t i = 0; i < p.n && r >= 0; i++)
                        r = strv_pushf(&t->plan, "unit property %s", p.items[i].name);
                if (r >= 0)
                        r = tuning_pins(o->domain->live, t->after, &pins);
                if (r >= 0 && pins)
                        r = strv_pushf(&t->plan, "threads %s", pins);
                if (r >= 0 && thread_quotas_differ(o->domain->live, t->after))
                        r = strv_pushf(&t->plan, "control groups of the threads of %s", o->domain->unit ?: o->domain->name);
        }
        return r < 0 || !t->edit ? r : strv_pushf(&t->plan, "definition of %s", o->domain->name);
}

/* Whoever dies before that takes it back; nobody shall think it done before. */
static int keep_live(Domain *d, Retune *t, Fault *f) {
        int r;

        tuning_swap(d->live, t->after);
        plug_journal_drop(d, NAME);
        free_and_replace(&d->live_text, NULL);
        r = status_must_save(d, f);
        if (r < 0) {
                tuning_swap(d->live, t->after);
                free_and_replace(&d->live_text, NULL);
                return r;
        }
        d->live_generation++;
        return 0;
}

static int begin_tell(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Retune *t = o->data;
        int r;

        if (t->validate_only)
                return list_plan(o, t) < 0 ? fault_oom(f) : 1;
        r = t->after ? keep_live(d, t, f) : 0;
        if (r < 0)
                return r;
        steps_settle(o->steps);
        if (t->after)
                domain_changed(d, DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_TUNING);
        return 1;
}

static const StepTable retune_steps = STEP_TABLE("set-properties",
        { "journal", begin_journal, NULL },
        { "define", begin_define, undo_define },
        { "threads", begin_threads, undo_threads },
        { "limits", begin_limits, undo_limits },
        { "pins", begin_pins, undo_pins },
        { "tell", begin_tell, NULL },
);

static void retune_finished(Operation *o, int error, const Fault *f) {
        const Retune *t = o->data;

        plug_journal_end(o->domain, NAME);
        t->done(o->domain, t->plan, error < 0 ? f : NULL, t->userdata);
}

static void retune_dropped(Operation *o, const Fault *f) {
        const Retune *t = o->data;

        t->done(o->domain, NULL, f, t->userdata);
}

static const OperationType retune_type = {
        .name = "set-properties", .steps = &retune_steps, .free_data = retune_free,
        .qemu_ended = operation_qemu_ended, .finished = retune_finished, .dropped = retune_dropped,
};

int retune_domain(Domain *d, const RetuneSpec *spec, RetuneDone done, void *userdata, Operation **ret, Fault *f) {
        Retune *t = new0(Retune, 1);
        int r;

        assert(d && spec && done);

        if (!t)
                return fault_oom(f);
        *t = (Retune) { .validate_only = spec->validate_only, .done = done, .userdata = userdata };
        r = look(d, t, spec, f);
        if (r < 0) {
                retune_free(t);
                return r;
        }
        return operation_begin(d, &retune_type, 0, t, ret, f);
}
