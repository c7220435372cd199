/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-run.h"

#include <inttypes.h>
#include <string.h>

#include "../plan/storage.h"
#include "formats.h"
#include "log.h"
#include "mem.h"
#include "pool-mount.h"
#include "pool-secret.h"
#include "pool-watch.h"
#include "pools.h"
#include "steps.h"
#include "str.h"
#include "volumes.h"
#include "work.h"
#include "xml-write.h"

DEFINE_ENUM(PoolState, pool_state, "inactive", "starting", "active", "stopping", "unreachable", "broken")

/* A start, stop, build or delete. */
typedef struct PoolOperation {
        Pool *pool;
        const char *name;            /* "start", … */
        PoolDone done;
        void *userdata;
        Steps *steps;
        UnitCall *unit;
        sd_event_source *deadline;   /* of the unit */
        bool format, overwrite;      /* of a build */
        bool wants_uses;             /* waits until it is known who uses what */
        bool adopting;               /* it was active before we came */
} PoolOperation;

PoolState pool_state(const Pool *p) {
        if (fault_is_set(&p->broken))
                return POOL_BROKEN;
        if (p->operation && streq(p->operation->name, "start") && !p->operation->adopting)
                return POOL_STARTING;
        if (p->operation && streq(p->operation->name, "stop"))
                return POOL_STOPPING;
        if (!p->live)
                return POOL_INACTIVE;
        return fault_is_set(&p->unreachable) ? POOL_UNREACHABLE : POOL_ACTIVE;
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

/* --- its worker --- */

static void open_pool(WorkerCall *ret, void *userdata) {
        _cleanup_free_ char *text = NULL;
        Pool *p = userdata;

        if (xml_record_to_text(&((PoolDef *) pool_def(p))->head, XML_WRITE_SECRETS, &text) < 0)
                return;
        ret->request = json_pack("{s:s, s:s, s:s, s:O, s:b}", "do", "open", "pool", text, "tag", p->all->tag, "formats", p->formats, "secret",
                                 (int) (p->secret >= 0));
        ret->fds = &p->secret;
        ret->n_fds = p->secret >= 0;
}

int pool_make_worker(Pool *p, Worker **ret, Fault *f) {
        const WorkerOptions options = {
                .event = p->all->event,
                .program = "virtstorage-worker",
                .subject = p->name,
                .kind = FAULT_POOL,
                .deadline_usec = &p->all->settings->deadline_usec,
                .open = open_pool,
                .userdata = p,
        };
        int r = worker_new(&options, ret);

        return r < 0 ? fault_oom(f) : 0;
}

static int need_worker(Pool *p, Fault *f) {
        return p->worker ? 0 : pool_make_worker(p, &p->worker, f);
}

void pool_note_failure(Pool *p, const Fault *why) {
        if (!p->active || fault_is_set(&p->unreachable) || why->kind == FAULT_CANCELED || why->error == WORKER_DIED)
                return; /* that says nothing about the pool */
        log_warning("pool %s is unreachable: %s", p->name, fault_text(why));
        (void) fault_copy(&p->unreachable, why);
        p->watch_lost = true;
        pools_changed(p, POOL_CHANGED_STATE);
}

void pool_note_success(Pool *p) {
        if (!fault_is_set(&p->unreachable))
                return;
        log_info("pool %s can be reached again", p->name);
        fault_clear(&p->unreachable);
        pools_changed(p, POOL_CHANGED_STATE);
}

/* --- space --- */

static bool set_number(uint64_t *to, const json_t *json, const char *key) {
        const json_t *value = json_object_get(json, key);
        uint64_t n = (uint64_t) json_integer_value(value);
        bool differs = json_is_integer(value) && n != *to;

        if (differs)
                *to = n;
        return differs;
}

/* Once each time that it gets there, with room to waver. */
static void check_watermark(Pool *p) {
        uint64_t percent = p->all->settings->watermark, low = p->capacity / 100 * percent, safe = p->capacity / 100 * (percent + 1);

        if (percent == 0 || p->capacity == 0)
                return;
        if (p->below_watermark)
                p->below_watermark = p->available < safe;
        else if (p->available < low) {
                p->below_watermark = true;
                log_warning("pool %s: %" PRIu64 " of %" PRIu64 " bytes are free", p->name, p->available, p->capacity);
                p->all->watcher.watermark(p, p->all->watcher_userdata);
        }
}

void pool_take_space(Pool *p, const json_t *json) {
        bool a = set_number(&p->capacity, json, "capacity"), b = set_number(&p->allocation, json, "allocation"),
             c = set_number(&p->available, json, "available");

        if (a || b || c)
                pools_changed(p, POOL_CHANGED_SPACE);
        check_watermark(p);
}

void pool_take_volume(Pool *p, VolumeInfo *info, bool made) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (made && pool_ops(pool_def(p)->type)->scan == SCAN_FOLDER && info->kind == VOLUME_FILE && formats_set(p, info->name, info->format, &f) < 0)
                log_warning("pool %s, volume %s: %s", p->name, info->name, fault_text(&f));
        (void) volumes_set(p, info);
}

/* --- refreshing --- */

typedef struct PoolRefresh PoolRefresh;
struct PoolRefresh {
        PoolDone done;
        void *userdata;
        bool begun;                  /* before it had asked */
        PoolRefresh *next;
};

static void begin_refresh(Pool *p);

static void end_refresh(Pool *p, const Fault *why) {
        PoolRefresh *served = NULL, **at = &p->refreshes;

        p->refreshing = false;
        while (*at) {
                PoolRefresh *q = *at;

                if (!q->begun) {
                        at = &q->next;
                        continue;
                }
                *at = q->next;
                q->next = served;
                served = q;
        }
        if (p->refreshes)
                begin_refresh(p);
        while (served) {
                PoolRefresh *q = served;

                served = q->next;
                q->done(p, why, q->userdata);
                free(q);
        }
}

static int on_volumes(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], void *userdata) {
        return volumes_take(userdata, json);
}

static void on_refreshed(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        Pool *p = userdata;

        if (why)
                pool_note_failure(p, why);
        else {
                volumes_end_refresh(p);
                formats_prune(p);
                pool_take_space(p, json);
                pool_note_success(p);
        }
        end_refresh(p, why);
}

static void on_watched(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        Pool *p = userdata;

        if (!why)
                p->watch_lost = false;
}

static int ask_refresh(Pool *p, Fault *f) {
        WorkerCall call = { .request = json_pack("{s:s}", "do", "refresh"), .part = on_volumes, .done = on_refreshed, .userdata = p };

        volumes_begin_refresh(p);
        return worker_ask(p->worker, &call, f);
}

/* What is watched may be gone, and another one in its place. */
static int ask_watch(Pool *p, Fault *f) {
        bool lacking = !p->watch && pool_ops(p->live->type)->scan == SCAN_FOLDER;
        int fd = (!lacking || pool_watch_new(p, &p->watch, f) >= 0) && p->watch ? pool_watch_fd(p->watch) : -1;
        const WorkerCall call = {
                .request = json_pack("{s:s, s:o}", "do", "watch", "busy", work_parts(p)), .fds = &fd, .n_fds = 1, .done = on_watched, .userdata = p,
        };

        if (fd < 0) {
                json_decref(call.request);
                return 0;
        }
        worker_reopen(p->worker);
        return worker_ask(p->worker, &call, f);
}

static void begin_refresh(Pool *p) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = 0;

        p->refreshing = true;
        for (PoolRefresh *q = p->refreshes; q; q = q->next)
                q->begun = true;
        if (p->watch_lost)
                r = ask_watch(p, &f);
        if (r >= 0)
                r = ask_refresh(p, &f);
        if (r < 0)
                end_refresh(p, &f);
}

int pool_refresh(Pool *p, PoolDone done, void *userdata, Fault *f) {
        PoolRefresh *q;
        int r;

        if (!p->live)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the pool %s is not active", p->name);
        r = need_worker(p, f);
        if (r < 0)
                return r;
        q = new0(PoolRefresh, 1);
        if (!q)
                return fault_oom(f);
        *q = (PoolRefresh) { .done = done, .userdata = userdata, .next = p->refreshes };
        p->refreshes = q;
        if (!p->refreshing)
                begin_refresh(p);
        return 0;
}

/* --- now and then --- */

static void arm_check(Pool *p);

static void on_space(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        Pool *p = userdata;

        if (why)
                pool_note_failure(p, why);
        else
                pool_take_space(p, json);
        arm_check(p);
}

static void on_checked(Pool *p, _unused_ const Fault *why, _unused_ void *userdata) {
        arm_check(p);
}

static int on_check(sd_event_source *source, uint64_t usec, void *userdata) {
        const WorkerCall call = { .request = json_pack("{s:s}", "do", "space"), .done = on_space, .userdata = userdata };
        Pool *p = userdata;
        int r;

        p->check = sd_event_source_disable_unref(p->check);
        /* One that was out of reach is looked at as a whole. */
        if (fault_is_set(&p->unreachable) || p->watch_lost) {
                json_decref(call.request);
                r = pool_refresh(p, on_checked, NULL, NULL);
        } else
                r = worker_ask(p->worker, &call, NULL);
        if (r < 0)
                arm_check(p);
        return 0;
}

static void arm_check(Pool *p) {
        uint64_t usec = p->all->settings->check_usec;

        if (usec > 0 && p->active && !p->check)
                (void) sd_event_add_time_relative(p->all->event, &p->check, CLOCK_MONOTONIC, usec, usec / 4, on_check, p);
}

/* --- steps --- */

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

static void on_secret(_unused_ Pool *p, const Fault *why, void *userdata) {
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

static void on_step_done(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;

        if (!o->steps)
                return; /* the daemon ends */
        if (why)
                (void) fault_copy(&f, why);
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

/* Groups, sessions and the like that are not active by themselves. */
static void on_activated(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        PoolOperation *o = userdata;

        if (!why && o->steps && json_is_true(json_object_get(json, "started")))
                o->pool->started_by_us = true;
        on_step_done(json, fds, why, userdata);
}

static int ask_step(PoolOperation *o, json_t *request, WorkerDone done, Fault *f) {
        const WorkerCall call = { .request = request, .deadline_usec = WORKER_NO_DEADLINE, .done = done, .userdata = o };
        int r = need_worker(o->pool, f);

        if (r >= 0)
                return worker_ask(o->pool->worker, &call, f);
        json_decref(request);
        return r;
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

static int step_watch(void *userdata, Fault *f) {
        PoolOperation *o = userdata;
        Pool *p = o->pool;
        WorkerCall call = { .n_fds = 1, .done = on_step_done, .userdata = o };
        int fd, r;

        r = need_worker(p, f);
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

static void on_step_refreshed(Pool *p, const Fault *why, void *userdata) {
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

static const StepRow start_steps[] = {
        { "secret", step_secret, undo_secret },
        { "mount", step_mount, undo_mount },
        { "activate", step_activate, undo_activate },
        { "watch", step_watch, undo_watch },
        { "refresh", step_refresh, NULL },
        { "uses", step_uses, NULL },
};

static int step_leave(void *userdata, _unused_ Fault *f) {
        PoolOperation *o = userdata;
        Pool *p = o->pool;

        p->active = false;
        p->check = sd_event_source_disable_unref(p->check);
        work_stop_all(p);
        volumes_clear(p);
        return leave_folder(o);
}

static int step_unmount(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (!o->pool->mounted_by_us)
                return 1;
        return pool_unmount(o->pool, on_unmounted, o, &o->unit, f);
}

/* First of all: it fails while one of its volumes is open, and then the pool stays as it is. */
static int step_deactivate(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        if (!o->pool->started_by_us)
                return 1;
        return ask_step(o, json_pack("{s:s}", "do", "deactivate"), on_step_done, f);
}

static const StepRow stop_steps[] = {
        { "deactivate", step_deactivate, NULL },
        { "leave", step_leave, NULL },
        { "unmount", step_unmount, NULL },
};

static int step_build(void *userdata, Fault *f) {
        PoolOperation *o = userdata;

        return ask_step(o, json_pack("{s:s, s:b, s:b}", "do", "build", "format", (int) o->format, "overwrite", (int) o->overwrite), on_step_done, f);
}

static int step_destroy(void *userdata, Fault *f) {
        return ask_step(userdata, json_pack("{s:s}", "do", "destroy"), on_step_done, f);
}

static const StepRow build_steps[] = { { "build", step_build, NULL } };
static const StepRow destroy_steps[] = { { "delete", step_destroy, NULL } };

/* --- operations --- */

static void tell_waiters(Pool *p, const Fault *why);

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

        if (streq(o->name, "start")) {
                p->active = error >= 0 || o->adopting;
                if (p->active && error < 0)
                        pool_note_failure(p, f); /* it was active, and is to be again */
                if (p->active)
                        arm_check(p);
                else
                        go_inactive(p);
        } else if (streq(o->name, "stop")) {
                if (error >= 0)
                        go_inactive(p);
        } else {
                p->worker = worker_free(p->worker);
                if (error >= 0 && streq(o->name, "delete"))
                        formats_remove(p);
        }
}

static void on_finished(Steps *s, int error, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PoolOperation *o = userdata;
        PoolDone done = o->done;
        void *data = o->userdata;
        Pool *p = o->pool;

        if (error < 0 && why && fault_is_set(why))
                (void) fault_copy(&f, why);
        else if (error < 0)
                fault_set(&f, FAULT_POOL, -error, "the pool %s: %s", p->name, strerror(-error));
        take_result(o, error, &f);
        log_debug("pool %s: %s %s", p->name, o->name, error < 0 ? fault_text(&f) : "done");
        p->operation = NULL;
        steps_free(o->steps);
        free(o);
        pools_save(p);
        pools_changed(p, POOL_CHANGED_STATE | POOL_CHANGED_SPACE);
        if (done)
                done(p, error < 0 ? &f : NULL, data);
        tell_waiters(p, error < 0 ? &f : NULL);
        pools_settle(p);
}

static int begin(Pool *p, const char *name, const StepRow *steps, size_t n, PoolDone done, void *userdata, PoolOperation **ret, Fault *f) {
        static const StepsWatch watch = { .finished = on_finished };
        PoolOperation *o;
        int r;

        if (p->operation)
                return fault_set(f, FAULT_BUSY, EBUSY, "the pool %s is busy: %s", p->name, p->operation->name);
        o = new0(PoolOperation, 1);
        if (!o)
                return fault_oom(f);
        *o = (PoolOperation) { .pool = p, .name = name, .done = done, .userdata = userdata };
        r = steps_new(p->all->event, steps, n, 0, &watch, o, &o->steps);
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

int pool_start(Pool *p, PoolDone done, void *userdata, Fault *f) {
        PoolOperation *o;
        int r = check_inactive(p, f);

        if (r < 0)
                return r;
        if (p->operation)
                return fault_set(f, FAULT_BUSY, EBUSY, "the pool %s is busy: %s", p->name, p->operation->name);
        if (pool_copy(p->config, &p->live) < 0)
                return fault_oom(f);
        formats_load(p); /* it may be at another place than it was */
        r = begin(p, "start", start_steps, ARRAY_SIZE(start_steps), done, userdata, &o, f);
        if (r < 0)
                p->live = pool_def_free(p->live);
        return r;
}

/* Those who come while it is being started. */
typedef struct PoolWaiter PoolWaiter;
struct PoolWaiter {
        PoolDone done;
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

int pool_when_active(Pool *p, PoolDone done, void *userdata, Fault *f) {
        PoolWaiter *w;

        if (!p->operation)
                return pool_start(p, done, userdata, f);
        if (!streq(p->operation->name, "start"))
                return fault_set(f, FAULT_BUSY, EBUSY, "the pool %s is busy: %s", p->name, p->operation->name);
        w = new0(PoolWaiter, 1);
        if (!w)
                return fault_oom(f);
        *w = (PoolWaiter) { .done = done, .userdata = userdata, .next = p->waiters };
        p->waiters = w;
        return 0;
}

int pool_adopt(Pool *p, PoolDef *live, bool mounted_by_us, bool started_by_us, Fault *f) {
        PoolOperation *o = NULL;
        int r;

        p->live = live;
        p->mounted_by_us = mounted_by_us;
        p->started_by_us = started_by_us;
        formats_load(p);
        r = begin(p, "start", start_steps, ARRAY_SIZE(start_steps), NULL, NULL, &o, f);
        if (r >= 0)
                o->adopting = true;
        else
                p->live = pool_def_free(p->live);
        return r;
}

int pool_stop(Pool *p, PoolDone done, void *userdata, Fault *f) {
        PoolOperation *o = NULL;

        if (!p->live && !p->operation)
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "the pool %s is not active", p->name);
        if (p->works && !p->operation)
                return fault_set(f, FAULT_BUSY, EBUSY, "the pool %s is busy: %s, job %s", p->name, work_operation(p->works), work_job(p->works));
        return begin(p, "stop", stop_steps, ARRAY_SIZE(stop_steps), done, userdata, &o, f);
}

int pool_build(Pool *p, bool format, bool overwrite, PoolDone done, void *userdata, Fault *f) {
        PoolOperation *o = NULL;
        int r = check_inactive(p, f);

        if (r >= 0)
                r = begin(p, "build", build_steps, ARRAY_SIZE(build_steps), done, userdata, &o, f);
        if (r >= 0) {
                o->format = format;
                o->overwrite = overwrite;
        }
        return r;
}

int pool_destroy(Pool *p, PoolDone done, void *userdata, Fault *f) {
        PoolOperation *o = NULL;
        int r = check_inactive(p, f);

        return r < 0 ? r : begin(p, "delete", destroy_steps, ARRAY_SIZE(destroy_steps), done, userdata, &o, f);
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
        pool_def_free(p->config);
        pool_def_free(p->live);
        fault_clear(&p->broken);
        fault_clear(&p->unreachable);
        strv_free(p->creating);
        json_decref(p->formats);
        free(p->name);
}
