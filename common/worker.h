/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-event.h>

#include "fault.h"

/* A program that does for a daemon what it must not wait for: work on files that may be on a server which does not answer. It is started
 * when there is something to ask, asked one thing after the other, and ends when there has been nothing for a while. When an answer takes
 * too long, that request and those behind it fail, and the next one gets a new process.
 *
 * Both say JSON messages with descriptors over a SOCK_SEQPACKET socket, which is descriptor 3 of the program. A request is an object;
 * {"do": VERB, …}. It is answered by any number of objects and a last one that has "end": true, or "error": {"kind", "errno", "message",
 * "hint"}. worker-serve.h is the program's side. */
typedef struct Worker Worker;

#define WORKER_SOCKET_FD 3
#define WORKER_MESSAGE_MAX ((size_t) 96 * 1024)
#define WORKER_FDS_MAX 4u                    /* that come with one answer */
#define WORKER_NO_DEADLINE UINT64_MAX
#define WORKER_DIED EOWNERDEAD               /* errno of the fault when the program has ended in the middle */

/* An answer that is not the last. Negative: it can't be read, and the worker is given up. */
typedef int (*WorkerPart)(const json_t *json, int fds[WORKER_FDS_MAX], void *userdata);
/* The last one: exactly once, never from within the call that asked. `json` and `fds` only without `why`. */
typedef void (*WorkerDone)(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata);

typedef struct WorkerCall {
        json_t *request;             /* taken over; NULL: out of memory */
        const int *fds;              /* stay the caller's */
        size_t n_fds;
        uint64_t deadline_usec;      /* 0: the worker's */
        WorkerPart part;             /* may be NULL */
        WorkerDone done;
        void *userdata;
} WorkerCall;

typedef struct WorkerOptions {
        sd_event *event;
        const char *program;              /* beside ours; static */
        const char *subject;              /* what it works on, in messages; must stay */
        FaultKind kind;                   /* of what goes wrong with the program itself */
        const uint64_t *deadline_usec;
        /* What each process is asked first: fills `request`, `fds`, `n_fds`, which may be borrowed until the next call. NULL: nothing. */
        void (*open)(WorkerCall *ret, void *userdata);
        /* How that went; also when a later answer is too late. May be NULL. */
        void (*opened)(const json_t *json, const Fault *why, void *userdata);
        void *userdata;
} WorkerOptions;

int worker_new(const WorkerOptions *options, Worker **ret);
/* Those that wait fail. May be called from within what it tells. */
Worker *worker_free(Worker *w);
DEFINE_CLEANUP(Worker *, worker_free)

/* The next request comes after another `open`. */
void worker_reopen(Worker *w);
bool worker_is_busy(const Worker *w);

int worker_ask(Worker *w, const WorkerCall *call, Fault *f);
