/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-steps.h"

#include <inttypes.h>
#include <string.h>

#include "../plan/storage.h"
#include "log.h"
#include "mem.h"
#include "pool-mount.h"
#include "pool-refresh.h"
#include "pool-secret.h"
#include "pool-watch.h"
#include "pools.h"
#include "volumes.h"
#include "work.h"

/* --- note: the next virtstoraged has to know what there is --- */

static int step_note(void *userdata, Fault *f) {
        PoolOperation *o = userdata;
        int r = o->adopting ? 0 : definitions_save(o->pool);

        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the run state of the pool %s can't be kept: %s", o->pool->name, strerror(-r)) : 1;
}

/* --- secret: what it logs in with --- */

static void on_secret(_unused_ void *object, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;

        if (why)
                (void) fault_copy(&f, why);
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

static int step_secret(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        return pool_fetch_secret(o->pool, on_secret, o, f);
}

static int undo_secret(void *userdata) {
        pool_forget_secret(((PoolOperation *) userdata)->pool);
        return 1;
}

/* --- mount --- */

static void on_unit_done(const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;

        o->unit = unit_call_free(o->unit);
        if (why)
                (void) fault_copy(&f, why);
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

/* systemd waits a minute and a half for a device that is not there. */
static int on_mount_too_late(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;

        o->deadline = sd_event_source_disable_unref(o->deadline);
        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s was not mounted within %" PRIu64 " s", o->pool->live->path,
                  o->pool->all->settings->deadline_usec / 1000000);
        fault_hint(&f, "check whether its device is there, or its server answers");
        steps_continue(o->steps, -ETIMEDOUT, &f);
        return 0;
}

static void on_mounted(const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;
        int r;

        o->deadline = sd_event_source_disable_unref(o->deadline);
        o->unit = unit_call_free(o->unit);
        if (!why || why->error != EEXIST) {
                o->pool->mounted_by_us = !why;
                if (why)
                        (void) fault_copy(&f, why);
                steps_continue(o->steps, why ? -why->error : 0, &f);
                return;
        }
        /* fstab has it: whoever wrote that says how it is mounted. */
        r = pool_mount_existing(o->pool, on_unit_done, o, &o->unit, &f);
        o->pool->mounted_by_us = r >= 0;
        if (r < 0)
                steps_continue(o->steps, r, &f);
}

static int step_mount(void *userdata, Fault *f) {
        PoolOperation *o = userdata;
        int r;

        if (!pool_ops(o->pool->live->type)->mount)
                return 1;
        r = pool_mount(o->pool, on_mounted, o, &o->unit, f);
        if (r != 0)
                return r;
        r = sd_event_add_time_relative(o->pool->all->event, &o->deadline, CLOCK_MONOTONIC, o->pool->all->settings->deadline_usec, 0, on_mount_too_late, o);
        return r < 0 ? fault_oom(f) : 0;
}

static void on_unmounted(const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        o->unit = unit_call_free(o->unit);
        if (why)
                log_warning("pool %s: %s", o->pool->name, fault_text(why));
        else
                o->pool->mounted_by_us = false;
        steps_continue(o->steps, 0, NULL);
}

static int undo_mount(void *userdata) {
        PoolOperation *o = userdata;

        o->deadline = sd_event_source_disable_unref(o->deadline);
        o->unit = unit_call_free(o->unit); /* of one that came too late: the unit's end is its end, too */
        if (o->adopting)
                return 1;
        return o->pool->mounted_by_us && pool_unmount(o->pool, on_unmounted, o, &o->unit, NULL) >= 0 ? 0 : 1;
}

static int step_unmount(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (!o->pool->mounted_by_us)
                return 1;
        return pool_unmount(o->pool, on_unmounted, o, &o->unit, f);
}

/* --- asking the worker --- */

/* It answers in turn: what a step that was given up has asked for is not what its undo waits for. */
static bool was_last_answer(PoolOperation *o) {
        return --o->answers == 0;
}

/* The undo of what can only be waited for. */
static int undo_wait(void *userdata) {
        return ((PoolOperation *) userdata)->answers > 0 ? 0 : 1;
}

static void on_step_done(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;

        if (!o->steps || !was_last_answer(o))
                return; /* the daemon ends */
        if (why)
                (void) fault_copy(&f, why);
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

static int ask_step(PoolOperation *o, json_t *request, WorkerDone done, Fault *f) {
        const WorkerCall call = { .request = request, .deadline_usec = WORKER_NO_DEADLINE, .done = done, .userdata = o };
        int r = pool_need_worker(o->pool, f);

        if (r < 0)
                json_decref(request);
        else
                r = worker_ask(o->pool->worker, &call, f);
        if (r >= 0)
                o->answers++;
        return r;
}

/* --- activate: groups, sessions and the like that are not active by themselves --- */

/* What was active before is not ours to end. */
static void on_looked(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;

        if (!why && o->steps && !steps_undoing(o->steps) && !json_is_true(json_object_get(json, "active")) &&
            pool_note_ours(o->pool, &o->pool->started_by_us, &f) < 0)
                why = &f;
        on_step_done(json, fds, why, userdata);
}

static int step_look(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (o->adopting || o->pool->started_by_us || !pool_ops(o->pool->live->type)->start)
                return 1;
        return ask_step(o, json_pack("{s:s}", "do", "is-active"), on_looked, f);
}

static void on_activated(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (why && o->steps && !o->adopting)
                o->pool->started_by_us = false;
        on_step_done(json, fds, why, userdata);
}

/* One that was active may be so no more: its stop may have been interrupted. */
static int step_activate(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        return o->pool->started_by_us ? ask_step(o, json_pack("{s:s}", "do", "activate"), on_activated, f) : 1;
}

static void on_deactivated(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (!o->steps || !was_last_answer(o))
                return;
        if (why)
                log_warning("pool %s: %s", o->pool->name, fault_text(why));
        else
                o->pool->started_by_us = false;
        steps_continue(o->steps, 0, NULL);
}

static int undo_activate(void *userdata) {
        PoolOperation *o = userdata;

        if (o->adopting || !o->pool->started_by_us)
                return undo_wait(o);
        return ask_step(o, json_pack("{s:s}", "do", "deactivate"), on_deactivated, NULL) >= 0 ? 0 : 1;
}

/* Nothing takes that back: from here on it goes on. */
static void on_done_for_good(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (!why && o->steps && !steps_undoing(o->steps))
                steps_settle(o->steps);
        on_step_done(json, fds, why, userdata);
}

/* It fails while one of its volumes is open, and then the pool stays as it is. With it the rest goes, too, as far as that can be done. */
static int step_deactivate(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (o->pool->started_by_us)
                return ask_step(o, json_pack("{s:s}", "do", "deactivate"), on_done_for_good, f);
        steps_settle(o->steps);
        return 1;
}

/* What was asked for may have been done all the same. */
static int undo_deactivate(void *userdata) {
        PoolOperation *o = userdata;

        return o->answers > 0 && ask_step(o, json_pack("{s:s}", "do", "activate"), on_step_done, NULL) >= 0 ? 0 : undo_wait(o);
}

/* --- watch and leave: its folder --- */

static int step_watch(void *userdata, Fault *f) {
        PoolOperation *o = userdata;
        Pool *p = o->pool;
        WorkerCall call = { .n_fds = 1, .done = on_step_done, .userdata = o };
        int fd, r;

        r = pool_need_worker(p, f);
        if (r >= 0 && pool_has_devices(p))
                pools_watch_devices(p->all);
        if (r < 0 || pool_ops(p->live->type)->scan != SCAN_FOLDER)
                return r < 0 ? r : 1;
        r = pool_watch_new(p, &p->watch, f);
        if (r < 0)
                return r;
        fd = pool_watch_fd(p->watch);
        call.fds = &fd;
        call.request = json_pack("{s:s, s:[]}", "do", "watch", "busy");
        r = worker_ask(p->worker, &call, f);
        if (r >= 0)
                o->answers++;
        return r < 0 ? r : 0;
}

/* The worker has the folder open, and nothing can be unmounted that somebody has open. */
static void on_left(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], _unused_ const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (!o->steps || !was_last_answer(o))
                return;
        o->pool->worker = worker_free(o->pool->worker);
        steps_continue(o->steps, 0, NULL);
}

static int leave_folder(PoolOperation *o) {
        Pool *p = o->pool;
        int fd = p->watch ? pool_watch_fd(p->watch) : -1;
        const WorkerCall call = { .request = json_pack("{s:s}", "do", "leave"), .fds = &fd, .n_fds = fd >= 0, .done = on_left, .userdata = o };
        bool asked = p->worker && worker_ask(p->worker, &call, NULL) >= 0;

        if (!p->worker)
                json_decref(call.request);
        if (asked)
                o->answers++;
        p->watch = pool_watch_free(p->watch); /* the worker has it as well, and is the last one */
        return asked ? 0 : 1;
}

static int undo_watch(void *userdata) {
        PoolOperation *o = userdata;

        return o->adopting ? undo_wait(o) /* it will be back */ : leave_folder(o);
}

static int step_leave(void *userdata, _unused_ Fault *f) {
        PoolOperation *o = userdata;
        Pool *p = o->pool;

        p->active = false;
        p->check = sd_event_source_disable_unref(p->check);
        work_stop_all(p);
        volumes_clear(p);
        return leave_folder(o);
}

/* --- the rest --- */

static void on_step_refreshed(_unused_ void *object, const Fault *why, void *userdata) {
        on_step_done(NULL, NULL, why, userdata);
}

static int step_refresh(void *userdata, Fault *f) {
        PoolOperation *o = userdata;
        int r = pool_refresh(o->pool, on_step_refreshed, o, f);

        if (r >= 0)
                o->answers++;
        return r < 0 ? r : 0;
}

/* Before anything can be done with its volumes. */
static int step_uses(void *userdata, _unused_ Fault *f) {
        PoolOperation *o = userdata;

        uses_begin(o->pool->all->uses);
        o->wants_uses = !uses_known(o->pool->all->uses);
        return o->wants_uses ? 0 : 1;
}

static int undo_uses(void *userdata) {
        ((PoolOperation *) userdata)->wants_uses = false;
        return 1;
}

void pool_uses_known(Pool *p) {
        if (p->operation && TAKE(p->operation->wants_uses, false))
                steps_continue(p->operation->steps, 0, NULL);
}

static int step_build(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        return ask_step(o, json_pack("{s:s, s:b, s:b}", "do", "build", "format", (int) o->format, "overwrite", (int) o->overwrite), on_done_for_good,
                        f);
}

static int step_delete(void *userdata, Fault *f) {
        return ask_step(userdata, json_pack("{s:s}", "do", "destroy"), on_done_for_good, f);
}

/* --- their order --- */

const StepTable pool_steps_start = STEP_TABLE("pool-start",
        { "note", step_note, NULL },
        { "secret", step_secret, undo_secret },
        { "mount", step_mount, undo_mount },
        { "look", step_look, undo_wait },
        { "activate", step_activate, undo_activate },
        { "watch", step_watch, undo_watch },
        { "refresh", step_refresh, undo_wait },
        { "uses", step_uses, undo_uses },
);

const StepTable pool_steps_stop = STEP_TABLE("pool-stop",
        { "deactivate", step_deactivate, undo_deactivate },
        { "leave", step_leave, NULL },
        { "unmount", step_unmount, NULL },
);

const StepTable pool_steps_build = STEP_TABLE("pool-build", { "build", step_build, undo_wait });
const StepTable pool_steps_delete = STEP_TABLE("pool-delete", { "delete", step_delete, undo_wait });
