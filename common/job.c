/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

#include <stdio.h>
#include <sys/queue.h>
#include <unistd.h>

#include "bus-auth.h"
#include "bus-error.h"
#include "clock.h"
#include "mem.h"
#include "str.h"

#define INTERFACE "org.virtbus.job1"
#define PROGRESS_INTERVAL_USEC (250u * 1000)

struct Job {
        Jobs *jobs;
        uint32_t id, uid;
        char *path, *operation, *object, *phase;
        sd_bus_message *call;
        bool reply_object;
        JobCancel cancel;
        void *userdata;
        uint64_t done, total, started, told;
        LIST_ENTRY(Job) link;
};

struct Jobs {
        JobsOptions options;
        LIST_HEAD(, Job) list;
        unsigned n;
        uint32_t last;
};

static Jobs *(*jobs_of)(void *userdata);

void jobs_set_lookup(Jobs *(*from_userdata)(void *userdata)) {
        jobs_of = from_userdata;
}

int jobs_new(const JobsOptions *options, Jobs **ret) {
        Jobs *j = new0(Jobs, 1);

        assert(options && ret);

        if (!j)
                return -ENOMEM;
        j->options = *options;
        LIST_INIT(&j->list);
        *ret = j;
        return 0;
}

static Job *job_free(Job *j) {
        if (!j)
                return NULL;
        if (j->jobs) {
                LIST_REMOVE(j, link);
                j->jobs->n--;
        }
        sd_bus_message_unref(j->call);
        free(j->path);
        free(j->operation);
        free(j->object);
        free(j->phase);
        free(j);
        return NULL;
}
DEFINE_CLEANUP(Job *, job_free)

static void answer(Job *j, const char *path, int error, const Fault *f) {
        sd_bus_message *call = TAKE_PTR(j->call);

        if (!call)
                return;
        if (error < 0)
                (void) bus_reply_fault(call, f, error);
        else if (j->reply_object)
                (void) sd_bus_reply_method_return(call, "oo", j->object, path);
        else
                (void) sd_bus_reply_method_return(call, "o", path);
        sd_bus_message_unref(call);
}

Jobs *jobs_free(Jobs *jobs) {
        static const Fault none = FAULT_INIT;
        Job *j;

        if (!jobs)
                return NULL;
        /* The work goes on or is rolled back by the next daemon; only this answer can't be given any more. */
        while ((j = LIST_FIRST(&jobs->list))) {
                answer(j, "/", -ECANCELED, &none);
                job_free(j);
        }
        free(jobs);
        return NULL;
}

static int check_limits(const Jobs *jobs, uid_t uid, Fault *f) {
        unsigned n = 0;
        const Job *j;

        if (jobs->n >= JOBS_MAX)
                return fault_set(f, FAULT_LIMIT, EBUSY, "%u jobs are under way already", jobs->n);
        if (uid == 0 || uid == geteuid())
                return 0;
        LIST_FOREACH(j, &jobs->list, link)
                n += j->uid == uid;
        if (n >= JOBS_PER_USER_MAX)
                return fault_set(f, FAULT_LIMIT, EBUSY, "user %u has %u jobs under way already", uid, n);
        return 0;
}

int job_new(Jobs *jobs, const JobSpec *spec, Job **ret, Fault *f) {
        _cleanup_(job_freep) Job *j = NULL;
        uid_t uid;
        int r;

        assert(jobs && spec && spec->operation && ret);

        uid = spec->call ? bus_sender_uid(spec->call) : geteuid();
        r = check_limits(jobs, uid, f);
        if (r < 0)
                return r;
        j = new0(Job, 1);
        if (!j)
                return fault_oom(f);
        j->id = jobs->last + 1;
        j->uid = uid;
        j->path = strf("%s/job/%u", jobs->options.root, j->id);
        j->operation = strdup(spec->operation);
        j->object = strdup(spec->object ?: "/");
        if (!j->path || !j->operation || !j->object)
                return fault_oom(f);
        j->cancel = spec->cancel;
        j->reply_object = spec->reply_object;
        j->userdata = spec->userdata;
        j->call = sd_bus_message_ref(spec->call);
        j->started = now_usec(CLOCK_REALTIME);

        jobs->last = j->id;
        j->jobs = jobs;
        LIST_INSERT_HEAD(&jobs->list, j, link);
        jobs->n++;
        bus_added(jobs->options.bus, j->path);
        (void) bus_emit(jobs->options.bus, jobs->options.root, jobs->options.manager_interface, "JobNew", "uos", j->id, j->path,
                        j->operation);
        if (spec->reply_early)
                answer(j, j->path, 0, NULL);
        *ret = TAKE_PTR(j);
        return 0;
}

void job_finish(Job *j, int error, const Fault *f) {
        const char *result = error >= 0 ? "done" : error == -ECANCELED ? "canceled" : error == -ETIMEDOUT ? "timeout" : "failed";
        const char *name = error >= 0 ? "" : f && fault_is_set(f) ? bus_error_name(f->kind) : bus_error_name(FAULT_NONE);
        static const Fault none = FAULT_INIT;
        const JobsOptions *o;

        assert(j);

        o = &j->jobs->options;
        (void) bus_emit(o->bus, j->path, INTERFACE, "Completed", "sssa{sv}", result, name,
                        error < 0 && f ? fault_text(f) : "", 0);
        (void) bus_emit(o->bus, o->root, o->manager_interface, "JobRemoved", "uosss", j->id, j->path, j->object, result, name);
        answer(j, "/", error, f ?: &none);
        bus_removed(o->bus, j->path);
        job_free(j);
}

void job_set_phase(Job *j, const char *phase) {
        assert(j);

        if (streq_null(j->phase, phase) || free_and_strdup(&j->phase, phase) < 0)
                return;
        bus_changed(j->jobs->options.bus, j->path, INTERFACE, "Phase");
}

void job_set_progress(Job *j, uint64_t done, uint64_t total) {
        static const char *const names[] = { "Progress", "BytesDone", "BytesTotal", "Rate", "ExpectedEndTimestamp" };
        uint64_t t = now_usec(CLOCK_MONOTONIC);

        assert(j);

        j->done = done;
        j->total = total;
        if (t - j->told < PROGRESS_INTERVAL_USEC && done != total)
                return;
        j->told = t;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                bus_changed(j->jobs->options.bus, j->path, INTERFACE, names[i]);
}

uint32_t job_id(const Job *j) {
        return j->id;
}

const char *job_path(const Job *j) {
        return j->path;
}

bool jobs_any(const Jobs *jobs) {
        return jobs->n > 0;
}

int jobs_append_list(Jobs *jobs, sd_bus_message *reply) {
        Job *j;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(uosos)");
        LIST_FOREACH(j, &jobs->list, link)
                if (r >= 0)
                        r = sd_bus_message_append(reply, "(uosos)", j->id, j->path, j->operation, j->object, j->phase ?: "");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- the object --- */

static uint64_t rate(const Job *j) {
        uint64_t elapsed = now_usec(CLOCK_REALTIME) - j->started;

        return elapsed > 0 ? j->done * 1000000 / elapsed : 0;
}

static int get_progress(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                        void *userdata, sd_bus_error *error) {
        const Job *j = userdata;

        return sd_bus_message_append(reply, "d", j->total > 0 ? (double) j->done / (double) j->total : -1.0);
}

static int get_rate(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "t", rate(userdata));
}

static int get_end(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                   void *userdata, sd_bus_error *error) {
        const Job *j = userdata;
        uint64_t speed = rate(j), end = 0;

        if (speed > 0 && j->total > j->done)
                end = now_usec(CLOCK_REALTIME) + (j->total - j->done) * 1000000 / speed;
        return sd_bus_message_append(reply, "t", end);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", "running");
}

static int get_cancelable(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                          void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", ((Job *) userdata)->cancel != NULL);
}

static int get_objects(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                       void *userdata, sd_bus_error *error) {
        const Job *j = userdata;

        return streq(j->object, "/") ? sd_bus_message_append(reply, "ao", 0) : sd_bus_message_append(reply, "ao", 1, j->object);
}

static int cancel_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Job *j = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        if (!j->cancel)
                r = fault_set(&f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "the job %u (%s) can't be cancelled", j->id, j->operation);
        else
                r = j->cancel(j, j->userdata, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

/* Whoever began a job may end it; everybody else needs the right to such jobs. */
BUS_HANDLER(method_cancel, BUS_ANYBODY) {
        static BusMethod method = { .handler = cancel_allowed };
        Job *j = userdata;

        if (bus_sender_uid(m) == j->uid)
                return cancel_allowed(m, userdata, error);
        method.action = j->jobs->options.cancel_action;
        return bus_enter(m, userdata, error, &method);
}

static const sd_bus_vtable job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "u", NULL, offsetof(Job, id), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Operation", "s", NULL, offsetof(Job, operation), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Objects", "ao", get_objects, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Phase", "s", bus_get_string, offsetof(Job, phase), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Progress", "d", get_progress, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("BytesDone", "t", NULL, offsetof(Job, done), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("BytesTotal", "t", NULL, offsetof(Job, total), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Rate", "t", get_rate, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StartTimestamp", "t", NULL, offsetof(Job, started), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ExpectedEndTimestamp", "t", get_end, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StartedByUID", "u", NULL, offsetof(Job, uid), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Cancelable", "b", get_cancelable, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_NAMES("Cancel", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_cancel,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("Completed", "sssa{sv}",
                                 SD_BUS_PARAM(result) SD_BUS_PARAM(error_name) SD_BUS_PARAM(error_message) SD_BUS_PARAM(details), 0),
        SD_BUS_VTABLE_END
};

const sd_bus_vtable *const job_vtables[] = { job_vtable, NULL };

int job_find(const char *path, void *userdata, void **ret) {
        Jobs *jobs = jobs_of(userdata);
        Job *j;

        LIST_FOREACH(j, &jobs->list, link)
                if (streq(j->path, path)) {
                        *ret = j;
                        return 1;
                }
        return 0;
}

int job_enumerate(char ***ret, void *userdata) {
        _cleanup_strv_ char **paths = new0(char *, 1);
        Jobs *jobs = jobs_of(userdata);
        Job *j;

        if (!paths)
                return -ENOMEM;
        LIST_FOREACH(j, &jobs->list, link)
                if (strv_push(&paths, j->path) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(paths);
        return 0;
}
