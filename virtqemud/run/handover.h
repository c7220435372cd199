/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/launch.h"
#include "domain.h"

/* A supervisor that has asked for its plan and waits. How it is answered is bus/'s matter. */
typedef struct PlanRequest PlanRequest;
struct PlanRequest {
        pid_t pid;      /* who asked, when it connected */
        uid_t uid;
        /* Exactly one of them is called, once; it frees the request. `fds` as prepare_fds() gives them, to be copied. */
        void (*answer)(PlanRequest *r, const LaunchPlan *plan, const int *fds, const Domain *d);
        void (*refuse)(PlanRequest *r, const Fault *f);
        void *message;
};

/* Finds the domain an instance name stands for, checks the caller and hands the request on. The caller must be of the domain's unit, or the
 * supervisor that we launched; and still the process that connected, not a later one of the same number. Reads only /proc. */
void handover_request(Manager *m, const char *name, PlanRequest *request);
