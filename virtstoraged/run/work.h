/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"
#include "sdbus.h"

/* What takes long on a volume: a job with a process of its own, so that nothing waits for it, and it can be cancelled at any time. */

typedef struct WorkSpec {
        const char *operation;       /* "create", "wipe", …; static */
        const char *object;          /* path of what it is about */
        Volume *volume;              /* busy meanwhile; NULL: it is yet to be made */
        const char *name;            /* of the one to be made */
        const char *part;            /* the file it is until it is finished; NULL: none */
        sd_bus_message *call;        /* answered with the job */
        bool reply_early, reply_object;
        json_t *request;             /* taken over */
        const int *fds;
        size_t n_fds;
} WorkSpec;

int work_start(Pool *p, const WorkSpec *spec, Fault *f);
/* Stops all of a pool that goes. */
void work_stop_all(Pool *p);
/* Its volume goes. */
void work_forget_volume(Volume *v);
const char *work_operation(const Work *w);
const char *work_job(const Work *w);
/* Names of unfinished files that are being worked on. */
json_t *work_parts(const Pool *p);
