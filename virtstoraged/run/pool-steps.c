/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-steps.h"

#include <inttypes.h>

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
        o->pool->mounted_by_us = true; /* the undo ends systemd's job, too */
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
        if (!why)
                o->pool->mounted_by_us = true;
        if (!why || why->error != EEXIST) {
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

        if (o->adopting)
                return 1;
        o->deadline = sd_event_source_disable_unref(o->deadline);
        o->unit = unit_call_free(o->unit); /* of one that came too late */
        return o->pool->mounted_by_us && pool_unmount(o->pool, on_unmounted, o, &o->unit, NULL) >= 0 ? 0 : 1;
}

static int step_unmount(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (!o->pool->mounted_by_us)
                return 1;
        return pool_unmount(o->pool, on_unmounted, o, &o->unit, f);
}

/* --- asking the worker --- */

static void on_step_done(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;

        if (!o->steps)
                return; /* the daemon ends */
        if (why)
                (void) fault_copy(&f, why);
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

static int ask_step(PoolOperation *o, json_t *request, WorkerDone done, Fault *f) {
        const WorkerCall call = { .request = request, .deadline_usec = WORKER_NO_DEADLINE, .done = done, .userdata = o };
        int r = pool_need_worker(o->pool, f);

        if (r >= 0)
                return worker_ask(o->pool->worker, &call, f);
        json_decref(request);
        return r;
}

/* --- activate: groups, sessions and the like that are not active by themselves --- */

static void on_activated(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (!why && o->steps && json_is_true(json_object_get(json, "started")))
                o->pool->started_by_us = true;
        on_step_done(json, fds, why, userdata);
}

static int step_activate(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (o->adopting || !pool_ops(o->pool->live->type)->start)
                return 1;
        return ask_step(o, json_pack("{s:s}", "do", "activate"), on_activated, f);
}

static void on_deactivated(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (!o->steps)
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
                return 1;
        return ask_step(o, json_pack("{s:s}", "do", "deactivate"), on_deactivated, NULL) >= 0 ? 0 : 1;
}

/* First of all: it fails while one of its volumes is open, and then the pool stays as it is. */
static int step_deactivate(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (!o->pool->started_by_us)
                return 1;
        return ask_step(o, json_pack("{s:s}", "do", "deactivate"), on_step_done, f);
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
        return r < 0 ? r : 0;
}

/* The worker has the folder open, and nothing can be unmounted that somebody has open. */
static void on_left(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], _unused_ const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (!o->steps)
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
        p->watch = pool_watch_free(p->watch); /* the worker has it as well, and is the last one */
        return asked ? 0 : 1;
}

static int undo_watch(void *userdata) {
        PoolOperation *o = userdata;

        if (o->adopting)
                return 1; /* it will be back */
        return leave_folder(o);
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

        return r < 0 ? r : 0;
}

/* Before anything can be done with its volumes. */
static int step_uses(void *userdata, _unused_ Fault *f) {
        PoolOperation *o = userdata;

        uses_begin(o->pool->all->uses);
        o->wants_uses = !uses_known(o->pool->all->uses);
        return o->wants_uses ? 0 : 1;
}

void pool_uses_known(Pool *p) {
        if (p->operation && TAKE(p->operation->wants_uses, false))
                steps_continue(p->operation->steps, 0, NULL);
}

static int step_build(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        return ask_step(o, json_pack("{s:s, s:b, s:b}", "do", "build", "format", (int) o->format, "overwrite", (int) o->overwrite), on_step_done, f);
}

static int step_delete(void *userdata, Fault *f) {
        return ask_step(userdata, json_pack("{s:s}", "do", "destroy"), on_step_done, f);
}

/* --- their order --- */

const StepTable pool_steps_start = STEP_TABLE("pool-start",
        { "secret", step_secret, undo_secret },
        { "mount", step_mount, undo_mount },
        { "activate", step_activate, undo_activate },
        { "watch", step_watch, undo_watch },
        { "refresh", step_refresh, NULL },
        { "uses", step_uses, NULL },
);

const StepTable pool_steps_stop = STEP_TABLE("pool-stop",
        { "deactivate", step_deactivate, NULL },
        { "leave", step_leave, NULL },
        { "unmount", step_unmount, NULL },
);

const StepTable pool_steps_build = STEP_TABLE("pool-build", { "build", step_build, NULL });
const StepTable pool_steps_delete = STEP_TABLE("pool-delete", { "delete", step_delete, NULL });
