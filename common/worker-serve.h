/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fd.h"
#include "worker.h"

/* The side of the program that a Worker starts: may block. */

typedef struct WorkerRequest {
        json_t *json;
        int fds[FDS_PER_MESSAGE];
        size_t n_fds;
} WorkerRequest;

/* Answers with worker_say() and one worker_end(); negative: what it could not do, which is then said. */
typedef int (*WorkerServe)(WorkerRequest *q, Fault *f);
typedef struct WorkerVerb {
        const char *name;
        WorkerServe serve;
} WorkerVerb;

/* Serves until nobody asks any more; main()'s return value. `daemon` is who it says should have started it. */
int worker_serve(const WorkerVerb *verbs, size_t n, FaultKind otherwise, const char *daemon, int argc, char *argv[]);

/* Take over `json`; -EPIPE: nobody listens. */
int worker_say(json_t *json, const int *fds, size_t n_fds);
/* {"end": true} and what else is in it; NULL: nothing. */
int worker_end(json_t *json, const int *fds, size_t n_fds);
