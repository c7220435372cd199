/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-event.h>

#include "fault.h"
#include "macro.h"

/* A QMP client over a connected socket. Nothing blocks; the peer is hostile: what it sends is capped in size and depth, and any
 * break of the protocol ends the connection with a Fault. Freeing the Qmp or a request inside any callback is safe. */
typedef struct Qmp Qmp;
typedef struct QmpRequest QmpRequest;

#define QMP_LINE_MAX (16u * 1024 * 1024)     /* bytes of one line from QEMU */
#define QMP_DEPTH_MAX 512u                   /* nesting of one line; query-block nests twice per backing level */
#define QMP_OUTPUT_MAX (4u * 1024 * 1024)    /* bytes queued for a QEMU that does not read */
#define QMP_REQUESTS_MAX 1024u               /* unanswered requests */
#define QMP_FDS_MAX 16u                      /* descriptors with one command, QEMU's own limit */

#define QMP_GREETING_USEC UINT64_C(30000000)
#define QMP_TIMEOUT_USEC UINT64_C(30000000)
#define QMP_TIMEOUT_NEVER UINT64_MAX

/* Any of them may be NULL. */
typedef struct QmpWatch {
        /* The greeting came and QEMU accepted our capabilities. */
        void (*ready)(Qmp *q, void *userdata);
        /* `data` is NULL or borrowed; the time is CLOCK_REALTIME in usec, 0 if QEMU did not know it. */
        void (*event)(Qmp *q, const char *name, json_t *data, uint64_t realtime_usec, void *userdata);
        /* Exactly once, after every open request was answered with the same fault. Not called by qmp_free(). */
        void (*closed)(Qmp *q, const Fault *why, void *userdata);
} QmpWatch;

/* Exactly once per request: `result` (borrowed) or `fault`, the other is NULL. Faults: FAULT_QEMU (QEMU's own refusal; or it broke
 * the protocol), FAULT_TIMEOUT, FAULT_DISCONNECTED, FAULT_NO_MEMORY. Not called after qmp_request_free(), nor by or after
 * qmp_free() but for qmp_send_always(). */
typedef void (*QmpReplyFunc)(Qmp *q, json_t *result, const Fault *fault, void *userdata);

/* Takes `fd` when it succeeds. `label` names the VM in texts. The greeting and the answer to qmp_capabilities must come within
 * `greeting_usec` (relative; 0: QMP_GREETING_USEC). `watch` must stay; it is not copied. */
int qmp_new(sd_event *e, int fd, const char *label, uint64_t greeting_usec, const QmpWatch *watch, void *userdata, Qmp **ret);
Qmp *qmp_free(Qmp *q);
DEFINE_CLEANUP(Qmp *, qmp_free)
#define _cleanup_qmp_ _cleanup_(qmp_freep)

/* Queues a command; may be called before ready(). `arguments` (object or NULL) is taken, also on failure. `timeout_usec` is relative
 * and runs from now; 0: QMP_TIMEOUT_USEC. A command that times out before it was written is never sent. `reply` may be NULL.
 * With `ret` the caller owns the request and must free it, before or after the reply; a request outlives its Qmp harmlessly.
 * -ENOTCONN: closed; -ENOBUFS: QMP_OUTPUT_MAX or QMP_REQUESTS_MAX reached; -EINVAL: not a command name or object; then `reply` is
 * never called. `reply` is never called from inside qmp_send(). */
int qmp_send(Qmp *q, const char *command, json_t *arguments, uint64_t timeout_usec,
             QmpReplyFunc reply, void *userdata, QmpRequest **ret);
/* For who waits for an answer, whatever happens: qmp_free() calls `reply`, too, with FAULT_DISCONNECTED. It must not use what may be
 * gone by then. */
int qmp_send_always(Qmp *q, const char *command, json_t *arguments, uint64_t timeout_usec, QmpReplyFunc reply, void *userdata);
/* As qmp_send(), with descriptors for getfd, add-fd: taken, also on failure, and closed once sent. -E2BIG beyond QMP_FDS_MAX. */
int qmp_send_fds(Qmp *q, const char *command, json_t *arguments, int *fds, size_t n_fds, uint64_t timeout_usec,
                 QmpReplyFunc reply, void *userdata, QmpRequest **ret);
/* Forgets it: no reply will be called. If it was not written yet it is never sent. */
QmpRequest *qmp_request_free(QmpRequest *r);
DEFINE_CLEANUP(QmpRequest *, qmp_request_free)

/* Its QEMU has ended: takes what has arrived of it and was not read yet, up to the end. */
void qmp_hear_out(Qmp *q);

bool qmp_is_ready(const Qmp *q);
bool qmp_is_open(const Qmp *q);
/* The greeting's version, 0.0.0 before it came: 7.2.22 is 7002022 (as QEMU_VERSION()). */
uint32_t qmp_version(const Qmp *q);
#define QEMU_VERSION(major, minor, micro) ((uint32_t) (major) * 1000000u + (uint32_t) (minor) * 1000u + (uint32_t) (micro))

/* For tests: as if these bytes had arrived. */
void qmp_feed(Qmp *q, const char *data, size_t length);
