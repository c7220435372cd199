/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-run.h"

#include <string.h>

#include "../plan/storage.h"
#include "formats.h"
#include "log.h"
#include "mem.h"
#include "pool-refresh.h"
#include "pool-secret.h"
#include "pool-steps.h"
#include "pool-watch.h"
#include "pools.h"
#include "str.h"
#include "volumes.h"
#include "work.h"

DEFINE_ENUM(PoolState, pool_state, "inactive", "starting", "active", "stopping", "unreachable", "broken")

PoolState pool_state(const Pool *p) {
        if (fault_is_set(&p->broken))
                return POOL_BROKEN;
        if (pool_is_starting(p))
                return POOL_STARTING;
        if (p->operation && p->operation->what == &pool_steps_stop)
                return POOL_STOPPING;
        if (!p->live)
                return POOL_INACTIVE;
        return fault_is_set(&p->unreachable) ? POOL_UNREACHABLE : POOL_ACTIVE;
}

bool pool_is_starting(const Pool *p) {
        return p->operation && p->operation->what == &pool_steps_start && !p->operation->adopting;
}

bool pool_has_devices(const Pool *p) {
        const PoolOps *ops = pool_ops(pool_def(p)->type);

        return ops->scan != SCAN_FOLDER && ops->volumes == VOLUME_BLOCK;
}

int pool_check_active(const Pool *p, Fault *f) {
        if (!p->active)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the pool %s is not active", p->name);
        if (!fault_is_set(&p->unreachable))
                return 0;
        return fault_set(f, p->unreachable.kind, p->unreachable.error, "the pool %s is unreachable: %s", p->name, fault_text(&p->unreachable));
}

int pool_note_ours(Pool *p, bool *what, Fault *f) {
        int r;

        *what = true;
        r = definitions_save(p);
        if (r >= 0)
                return 0;
        *what = false;
        return fault_set(f, FAULT_STORE, -r, "the run state of the pool %s can't be kept: %s", p->name, strerror(-r));
}

/* --- operations --- */

static int check_idle(const Pool *p, Fault *f) {
        const char *what = p->operation ? p->operation->what->name : NULL;

        return what ? fault_set(f, FAULT_BUSY, EBUSY, "the pool %s is busy: %s", p->name, str_after(what, "pool-") ?: what) : 0;
}

/* Those who come while it is being started. */
typedef struct PoolWaiter PoolWaiter;
struct PoolWaiter {
        DefinedDone done;
        void *userdata;
        PoolWaiter *next;
};

static void tell_waiters(Pool *p, const Fault *why) {
        PoolWaiter *w;

        while ((w = p->waiters)) {
                p->waiters = w->next;
                w->done(p, why, w->userdata);
                free(w);
        }
}

static void go_inactive(Pool *p) {
        volumes_clear(p);
        p->worker = worker_free(p->worker);
        pool_forget_secret(p);
        p->live = pool_def_free(p->live);
        p->active = p->started_by_us = p->below_watermark = p->watch_lost = false;
        p->capacity = p->allocation = p->available = 0;
        fault_clear(&p->unreachable);
}

static void take_result(PoolOperation *o, int error, const Fault *f) {
        Pool *p = o->pool;

        if (o->what == &pool_steps_start) {
                p->active = error >= 0 || o->adopting;
                if (p->active && error < 0)
                        pool_note_failure(p, f); /* it was active, and is to be again */
                if (p->active)
                        pool_arm_check(p);
                else
                        go_inactive(p);
        } else if (o->what == &pool_steps_stop) {
                if (error >= 0)
                        go_inactive(p);
        } else {
                p->worker = worker_free(p->worker);
                if (error >= 0 && o->what == &pool_steps_delete)
                        formats_remove(p);
        }
}

static void on_finished(Steps *s, int error, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;
        DefinedDone done = o->done;
        void *data = o->userdata;
        Pool *p = o->pool;

        if (error < 0 && why && fault_is_set(why))
                (void) fault_copy(&f, why);
        else if (error < 0)
                fault_set(&f, FAULT_POOL, -error, "the pool %s: %s", p->name, strerror(-error));
        take_result(o, error, &f);
        log_debug("pool %s: %s %s", p->name, o->what->name, error < 0 ? fault_text(&f) : "done");
        if (error < 0 && o->was_starting)
                log_warning("the pool %s, which was being started, can't be: %s", p->name, fault_text(&f));
        p->operation = NULL;
        steps_free(o->steps);
        free(o);
        definitions_save(p);
        pools_changed(p, POOL_CHANGED_STATE | POOL_CHANGED_SPACE);
        if (done)
                done(p, error < 0 ? &f : NULL, data);
        tell_waiters(p, error < 0 ? &f : NULL);
        definitions_settle(p);
}

static int begin(Pool *p, const StepTable *what, DefinedDone done, void *userdata, PoolOperation **ret, Fault *f) {
        static const StepsWatch watch = { .finished = on_finished };
        PoolOperation *o;
        int r = check_idle(p, f);

        if (r < 0)
                return r;
        o = new0(PoolOperation, 1);
        if (!o)
                return fault_oom(f);
        *o = (PoolOperation) { .pool = p, .what = what, .done = done, .userdata = userdata };
        r = steps_new(p->all->event, what, 0, &watch, o, &o->steps);
        if (r < 0) {
                free(o);
                return fault_oom(f);
        }
        p->operation = o;
        *ret = o;
        pools_changed(p, POOL_CHANGED_STATE);
        return 0;
}

static int check_usable(const Pool *p, Fault *f) {
        return fault_is_set(&p->broken) ? fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s can't be used: %s", p->name, fault_text(&p->broken)) : 0;
}

static int check_inactive(const Pool *p, Fault *f) {
        int r = check_usable(p, f);

        if (r >= 0 && p->live && !p->operation)
                r = fault_set(f, FAULT_INVALID_STATE, EALREADY, "the pool %s is active", p->name);
        return r;
}

int pool_start(Pool *p, DefinedDone done, void *userdata, Fault *f) {
        PoolOperation *o;
        int r = check_inactive(p, f);

        if (r >= 0)
                r = check_idle(p, f);
        if (r < 0)
                return r;
        if (pool_copy(p->config, &p->live) < 0)
                return fault_oom(f);
        formats_load(p); /* it may be at another place than it was */
        r = begin(p, &pool_steps_start, done, userdata, &o, f);
        if (r < 0)
                p->live = pool_def_free(p->live);
        return r;
}

int pool_when_active(Pool *p, DefinedDone done, void *userdata, Fault *f) {
        PoolWaiter *w;

        if (!p->operation)
                return pool_start(p, done, userdata, f);
        if (p->operation->what != &pool_steps_start)
                return check_idle(p, f);
        w = new0(PoolWaiter, 1);
        if (!w)
                return fault_oom(f);
        *w = (PoolWaiter) { .done = done, .userdata = userdata, .next = p->waiters };
        p->waiters = w;
        return 0;
}

int pool_adopt(Pool *p, PoolDef *live, bool was_starting, Fault *f) {
        PoolOperation *o = NULL;
        int r;

        p->live = live;
        formats_load(p);
        r = begin(p, &pool_steps_start, NULL, NULL, &o, f);
        if (r >= 0) {
                o->was_starting = was_starting;
                o->adopting = !was_starting;
        } else
                p->live = pool_def_free(p->live);
        return r;
}

int pool_stop(Pool *p, DefinedDone done, void *userdata, Fault *f) {
        PoolOperation *o = NULL;

        if (!p->live && !p->operation)
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "the pool %s is not active", p->name);
        if (p->works && !p->operation)
                return fault_set(f, FAULT_BUSY, EBUSY, "the pool %s is busy: %s, job %s", p->name, work_operation(p->works), work_job(p->works));
        return begin(p, &pool_steps_stop, done, userdata, &o, f);
}

int pool_build(Pool *p, bool format, bool overwrite, DefinedDone done, void *userdata, Fault *f) {
        PoolOperation *o = NULL;
        int r = check_inactive(p, f);

        if (r >= 0)
                r = begin(p, &pool_steps_build, done, userdata, &o, f);
        if (r >= 0) {
                o->format = format;
                o->overwrite = overwrite;
        }
        return r;
}

int pool_destroy(Pool *p, DefinedDone done, void *userdata, Fault *f) {
        PoolOperation *o = NULL;
        int r = check_inactive(p, f);

        return r < 0 ? r : begin(p, &pool_steps_delete, done, userdata, &o, f);
}

/* The daemon goes, or the pool: what others have begun stays begun. */
void pool_clear(Pool *p) {
        PoolOperation *o = TAKE_PTR(p->operation);
        _cleanup_fault_ Fault f = FAULT_INIT;

        sd_event_source_disable_unref(p->check);
        p->watch = pool_watch_free(p->watch);
        if (o) {
                o->steps = steps_free(o->steps);
                sd_event_source_disable_unref(o->deadline);
                unit_call_free(o->unit);
        }
        work_stop_all(p);
        p->worker = worker_free(p->worker); /* tells those who wait */
        pool_forget_secret(p);
        fault_set(&f, FAULT_CANCELED, ECANCELED, "the pool %s has gone", p->name);
        if (o && o->done)
                o->done(p, &f, o->userdata);
        free(o);
        tell_waiters(p, &f);
        volumes_clear(p);
        fault_clear(&p->unreachable);
        strv_free(p->creating);
        json_decref(p->formats);
}
