/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "work.h"

#include <string.h>

#include "job.h"
#include "log.h"
#include "mem.h"
#include "pool-refresh.h"
#include "pools.h"
#include "str.h"
#include "volumes.h"

struct Work {
        Pool *pool;
        Volume *volume;              /* NULL: it is being made, or has gone */
        const char *operation;
        char *name, *part;
        Job *job;
        Worker *worker;
        bool canceled;
        Work *next;
};

const char *work_operation(const Work *w) {
        return w->operation;
}

const char *work_job(const Work *w) {
        return job_path(w->job);
}

void work_forget_volume(Volume *v) {
        if (v->work)
                v->work->volume = NULL;
        v->work = NULL;
}

json_t *work_parts(const Pool *p) {
        json_t *list = json_array();

        for (const Work *w = p->works; w; w = w->next)
                if (w->part)
                        (void) json_array_append_new(list, json_string(w->part));
        return list;
}

/* --- the end --- */

static void tidy(Pool *p, WorkerDone done);

static void on_tidied_again(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        if (why && why->kind != FAULT_CANCELED)
                log_warning("pool %s: unfinished files may be left: %s", ((Pool *) userdata)->name, fault_text(why));
}

/* The process that was asked may have been killed as well: there is another one for the second try. */
static void on_tidied(_unused_ const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        if (why && why->kind != FAULT_CANCELED)
                tidy(userdata, on_tidied_again);
}

/* What is not finished, and is not being worked on, goes. */
static void tidy(Pool *p, WorkerDone done) {
        const WorkerCall call = { .request = json_pack("{s:s, s:o}", "do", "tidy", "busy", work_parts(p)), .done = done, .userdata = p };

        if (p->worker)
                (void) worker_ask(p->worker, &call, NULL);
        else
                json_decref(call.request);
}

static void unlink_work(Work *w) {
        Work **at;

        for (at = &w->pool->works; *at != w; at = &(*at)->next)
                ;
        *at = w->next;
}

static void remove_name(char **list, const char *name) {
        size_t n = strv_length(list);

        for (size_t i = 0; i < n; i++)
                if (streq(list[i], name)) {
                        free(list[i]);
                        memmove(list + i, list + i + 1, (n - i) * sizeof(*list));
                        return;
                }
}

static void finish(Work *w, const Fault *why) {
        Pool *p = w->pool;
        Job *job = TAKE_PTR(w->job);

        unlink_work(w);
        if (w->volume)
                w->volume->work = NULL;
        if (w->name)
                remove_name(p->creating, w->name);
        if (why && w->part)
                tidy(p, on_tidied);
        worker_free(w->worker);
        if (job)
                job_finish(job, why ? -why->error : 0, why);
        free(w->name);
        free(w->part);
        free(w);
        pools_busy_changed(p->all);
}

static void on_done(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Work *w = userdata;

        if (w->canceled) {
                fault_set(&f, FAULT_CANCELED, ECANCELED, "%s was cancelled", w->operation);
                why = &f;
        }
        if (!why) {
                const json_t *volume = json_object_get(json, "volume");
                VolumeInfo info;

                pool_take_space(w->pool, json);
                if (volume && volume_info_from_json(volume, &info) >= 0)
                        pool_take_volume(w->pool, &info, w->name);
        }
        finish(w, why);
}

static int on_progress(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], void *userdata) {
        const json_t *done = json_object_get(json, "done"), *total = json_object_get(json, "total");
        Work *w = userdata;

        if (!json_is_integer(done) || !json_is_integer(total))
                return -EBADMSG;
        job_set_progress(w->job, (uint64_t) json_integer_value(done), (uint64_t) json_integer_value(total));
        return 0;
}

static int on_cancel(_unused_ Job *j, void *userdata, _unused_ Fault *f) {
        Work *w = userdata;

        w->canceled = true;
        worker_free(TAKE_PTR(w->worker)); /* which ends in on_done(), and there is no work any more */
        return 0;
}

void work_stop_all(Pool *p) {
        while (p->works)
                (void) on_cancel(NULL, p->works, NULL);
}

/* --- the beginning --- */

static int make_job(Work *w, const WorkSpec *spec, Fault *f) {
        const JobSpec job = {
                .operation = spec->operation, .object = spec->object, .call = spec->call, .reply_early = spec->reply_early,
                .reply_object = spec->reply_object, .cancel = on_cancel, .userdata = w,
        };

        return job_new(w->pool->all->jobs, &job, &w->job, f);
}

static Work *work_new(Pool *p, const WorkSpec *spec) {
        Work *w = new0(Work, 1);

        if (!w)
                return NULL;
        *w = (Work) { .pool = p, .volume = spec->volume, .operation = spec->operation, .next = p->works };
        p->works = w;
        if (free_and_strdup(&w->name, spec->name) >= 0 && free_and_strdup(&w->part, spec->part) >= 0 &&
            (!spec->name || strv_push(&p->creating, spec->name) >= 0))
                return w;
        free(TAKE_PTR(w->name)); /* it is not in the list */
        finish(w, NULL);
        return NULL;
}

int work_start(Pool *p, const WorkSpec *spec, Fault *f) {
        WorkerCall call = {.request = spec->request,
                           .fds = spec->fds,
                           .n_fds = spec->n_fds,
                           .deadline_usec = WORKER_NO_DEADLINE,
                           .part = on_progress,
                           .done = on_done};
        Work *w = work_new(p, spec);
        int r;

        if (!w) {
                json_decref(spec->request);
                return fault_oom(f);
        }
        call.userdata = w;
        r = pool_make_worker(p, &w->worker, f);
        if (r >= 0)
                r = make_job(w, spec, f);
        if (r >= 0)
                r = worker_ask(w->worker, &call, f);
        else
                json_decref(spec->request);
        if (r >= 0) {
                if (w->volume)
                        w->volume->work = w;
                pools_busy_changed(p->all);
                return 0;
        }
        if (w->job) { /* it answers the call */
                _cleanup_fault_ Fault why = FAULT_INIT;

                (void) fault_copy(&why, f);
                finish(w, &why);
                return 0;
        }
        finish(w, NULL);
        return r;
}
