/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lease.h"
#include "worker.h"

/* The program that works on the files of one lockspace for us (virtlock-worker). Beside what worker.h says, these requests:
 *
 *   {"do": "open", "path", "make"} + inotify      first of all: the folder, which is then watched by that
 *   {"do": "acquire", "file", "lease"} [+ anchor]
 *   {"do": "transfer", "file", "lease"} + lease
 *   {"do": "look", "files"} + anchors
 *   {"do": "list"}
 *
 * Each is answered by any number of
 *   {"file", "owners", "misplaced"} [+ anchor]    of a long list of owners only a part; the next message goes on
 *   {"file", "error"}
 * and one of
 *   {"end": true, "remote"} [+ lease, anchor]
 *   {"end": true, "held": true}                   the owners came before
 *   {"error": …}
 */
typedef struct LeaseWorker LeaseWorker;

#define LEASE_WORKER_OWNERS_MAX 40u     /* in one message */
#define LEASE_WORKER_FILES_MAX 200u     /* to be looked at by one request */

/* One file, as it was found. */
typedef struct LeaseFound {
        char *file;
        Lease *leases;
        size_t n;
        bool misplaced;          /* the file they hold is not in the folder any more */
        int anchor;              /* -1: none was asked for */
        Fault why;               /* it can't be read */
} LeaseFound;

typedef struct LeaseReply {
        LeaseFound *found;
        size_t n_found;
        bool held;               /* somebody has it: found[0] says who */
        int lease, anchor;
} LeaseReply;

/* Exactly once, never from within the call that asked. What is taken out of the reply (fds, leases) is replaced by -1 or NULL. */
typedef void (*LeaseAnswered)(LeaseReply *reply, const Fault *why, void *userdata);

typedef struct LeaseWorkerOptions {
        sd_event *event;
        const char *path;                 /* of the folder; must stay */
        bool make;                        /* it is made where it is missing */
        int inotify;                      /* gets a watch on the folder */
        const uint64_t *deadline_usec;
        /* The folder was opened, or can't be. */
        void (*opened)(bool remote, const Fault *why, void *userdata);
        void *userdata;
} LeaseWorkerOptions;

int lease_worker_new(const LeaseWorkerOptions *options, LeaseWorker **ret);
/* Those that wait fail. */
LeaseWorker *lease_worker_free(LeaseWorker *w);
DEFINE_CLEANUP(LeaseWorker *, lease_worker_free)

/* The folder is opened anew before the next request. */
void lease_worker_reopen(LeaseWorker *w);
bool lease_worker_is_busy(const LeaseWorker *w);

int lease_worker_acquire(LeaseWorker *w, const char *file, const Lease *lease, int anchor, LeaseAnswered done, void *userdata, Fault *f);
int lease_worker_transfer(LeaseWorker *w, const char *file, const Lease *lease, int fd, LeaseAnswered done, void *userdata, Fault *f);
int lease_worker_look(LeaseWorker *w, const char *const *files, const int *anchors, size_t n, LeaseAnswered done, void *userdata, Fault *f);
int lease_worker_list(LeaseWorker *w, LeaseAnswered done, void *userdata, Fault *f);
