/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "lease.h"

/* The program that works on the files of one lockspace for us (virtlock-worker). It is started when there is something to do, and ends
 * when there has been nothing for a while. Requests are served one after the other; when one takes too long, because a server does not
 * answer, it and those behind it fail, and the next one gets a new worker. */
typedef struct Worker Worker;

/* One file, as it was found. */
typedef struct WorkerFound {
        char *file;
        Lease *leases;
        size_t n;
        bool misplaced;          /* the file they hold is not in the folder any more */
        int anchor;              /* -1: none was asked for */
        Fault why;               /* it can't be read */
} WorkerFound;

typedef struct WorkerReply {
        WorkerFound *found;
        size_t n_found;
        bool held;               /* somebody has it: found[0] says who */
        int lease, anchor;
} WorkerReply;

/* Exactly once, never from within the call that asked. What is taken out of the reply (fds, leases) is replaced by -1 or NULL. */
typedef void (*WorkerDone)(WorkerReply *reply, const Fault *why, void *userdata);

typedef struct WorkerOptions {
        sd_event *event;
        const char *path;                 /* of the folder; must stay */
        bool make;                        /* it is made where it is missing */
        int inotify;                      /* gets a watch on the folder */
        const uint64_t *deadline_usec;
        /* The folder was opened, or can't be. */
        void (*opened)(bool remote, const Fault *why, void *userdata);
        void *userdata;
} WorkerOptions;

int worker_new(const WorkerOptions *options, Worker **ret);
/* Those that wait fail. */
Worker *worker_free(Worker *w);
DEFINE_CLEANUP(Worker *, worker_free)

/* The folder is opened anew before the next request. */
void worker_reopen(Worker *w);
bool worker_is_busy(const Worker *w);

int worker_acquire(Worker *w, const char *file, const Lease *lease, int anchor, WorkerDone done, void *userdata, Fault *f);
int worker_transfer(Worker *w, const char *file, const Lease *lease, int fd, WorkerDone done, void *userdata, Fault *f);
int worker_look(Worker *w, const char *const *files, const int *anchors, size_t n, WorkerDone done, void *userdata, Fault *f);
int worker_list(Worker *w, WorkerDone done, void *userdata, Fault *f);
