/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-refresh.h"

#include <inttypes.h>

#include "../plan/storage.h"
#include "formats.h"
#include "log.h"
#include "mem.h"
#include "pool-watch.h"
#include "pools.h"
#include "volumes.h"
#include "work.h"
#include "xml-write.h"

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

int pool_need_worker(Pool *p, Fault *f) {
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
        DefinedDone done;
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

int pool_refresh(Pool *p, DefinedDone done, void *userdata, Fault *f) {
        PoolRefresh *q;
        int r;

        if (!p->live)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the pool %s is not active", p->name);
        r = pool_need_worker(p, f);
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

static void on_space(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        Pool *p = userdata;

        if (why)
                pool_note_failure(p, why);
        else
                pool_take_space(p, json);
        pool_arm_check(p);
}

static void on_checked(void *object, _unused_ const Fault *why, _unused_ void *userdata) {
        Pool *p = object;

        pool_arm_check(p);
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
                pool_arm_check(p);
        return 0;
}

void pool_arm_check(Pool *p) {
        uint64_t usec = p->all->settings->check_usec;

        if (usec > 0 && p->active && !p->check)
                (void) sd_event_add_time_relative(p->all->event, &p->check, CLOCK_MONOTONIC, usec, usec / 4, on_check, p);
}
