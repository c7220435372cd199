/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"

/* Long work as an object, ROOT/job/ID: what it is, how far it has come, Cancel(). A job answers the call it was made for exactly once:
 * with its path at once, or when it is over. It outlives the client. */
typedef struct Jobs Jobs;
typedef struct Job Job;

#define JOBS_MAX 1024u
#define JOBS_PER_USER_MAX 128u   /* of one user that is neither root nor ours */

/* Asked by Cancel(). The job ends through job_finish() as always; 0, or negative when it can't be cancelled. */
typedef int (*JobCancel)(Job *j, void *userdata, Fault *f);

typedef struct JobsOptions {
        Bus *bus;
        const char *root;               /* "/org/virtbus/qemu1" */
        const char *manager_interface;  /* where JobNew and JobRemoved are sent from */
        const char *cancel_action;      /* polkit's, for the caller of Cancel() */
} JobsOptions;

int jobs_new(const JobsOptions *options, Jobs **ret);
Jobs *jobs_free(Jobs *j);
DEFINE_CLEANUP(Jobs *, jobs_free)

/* The row for BusOptions.objects, whose userdata must lead to the Jobs through the function given here. */
#define JOB_OBJECT(root_path)                                                                           \
        { .path = root_path "/job", .many = true, .interface = "org.virtbus.job1", .vtables = job_vtables, \
          .find = job_find, .enumerate = job_enumerate }
extern const sd_bus_vtable *const job_vtables[];
int job_find(const char *path, void *userdata, void **ret);
int job_enumerate(char ***ret, void *userdata);
void jobs_set_lookup(Jobs *(*from_userdata)(void *userdata));

typedef struct JobSpec {
        const char *operation;     /* "start" */
        const char *object;        /* path of what it works on; "/" for none */
        sd_bus_message *call;      /* answered by the job; NULL: nobody asked */
        bool reply_early;          /* with the job's path at once, else when it is over (with path "/") */
        bool reply_object;         /* the answer is `object` and the path, not the path alone */
        JobCancel cancel;          /* NULL: can't be */
        void *userdata;
} JobSpec;

/* FAULT_LIMIT when there are too many. */
int job_new(Jobs *jobs, const JobSpec *spec, Job **ret, Fault *f);

/* Over: answers, announces, frees. `error` 0 or negative. */
void job_finish(Job *j, int error, const Fault *f);

void job_set_phase(Job *j, const char *phase);
/* Bytes done and in all; total 0: not known. Signals at most a few times a second. */
void job_set_progress(Job *j, uint64_t done, uint64_t total);

uint32_t job_id(const Job *j);
const char *job_path(const Job *j);
/* ListJobs: appends a(uosos): id, path, operation, object, phase. */
int jobs_append_list(Jobs *jobs, sd_bus_message *reply);
bool jobs_any(const Jobs *jobs);
