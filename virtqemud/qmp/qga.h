/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-event.h>

#include "fault.h"
#include "macro.h"

/* A client of the agent that runs in a guest, over the socket that QEMU listens at for its channel. The guest is hostile, and its agent works
 * on one command at a time: so do we. Before each command both sides are brought in step again (guest-sync-delimited), so that what comes late,
 * twice or out of turn is nobody's answer. Nothing is read while nobody waits for an answer, so that a guest that talks without end fills its own
 * channel; all of it comes after everything else the loop has to do. */
typedef struct Qga Qga;
typedef struct QgaCall QgaCall;

#define QGA_ANSWER_MAX (4u * 1024 * 1024)    /* bytes of one answer */
#define QGA_COMMAND_MAX (2u * 1024 * 1024)   /* bytes of one command */
#define QGA_CALLS_MAX 64u                    /* that wait for their turn */
#define QGA_TIMEOUT_USEC UINT64_C(10000000)

/* Exactly once per call: `result` (borrowed) or `why`, the other is NULL. FAULT_GUEST_AGENT: it refused, or said what can't be read;
 * FAULT_TIMEOUT, FAULT_DISCONNECTED, FAULT_LIMIT. Not called after qga_call_free() or qga_free(). */
typedef void (*QgaReply)(json_t *result, const Fault *why, void *userdata);

/* `label` names the VM in texts. Nothing is connected yet. `answered` may be NULL: whether the last call got an answer. */
int qga_new(sd_event *e, const char *label, const char *path, void (*answered)(bool yes, void *userdata), void *userdata, Qga **ret);
Qga *qga_free(Qga *q);
DEFINE_CLEANUP(Qga *, qga_free)

/* The guest has opened its end of the channel, or closed it: then all calls have failed. */
void qga_set_open(Qga *q, bool open);
bool qga_is_open(const Qga *q);

/* `arguments` (object or NULL) is taken, also on failure. The deadline runs from now; 0: QGA_TIMEOUT_USEC. With `ret` the caller owns the call
 * and must free it, before or after the answer. FAULT_DISCONNECTED: nobody has opened the channel; FAULT_LIMIT. Never answers from inside. */
int qga_send(Qga *q, const char *command, json_t *arguments, uint64_t timeout_usec, QgaReply reply, void *userdata, QgaCall **ret, Fault *f);
QgaCall *qga_call_free(QgaCall *c);
DEFINE_CLEANUP(QgaCall *, qga_call_free)

/* For tests: that socket, which it takes over, for the channel; and as if these bytes had arrived. */
int qga_open_fd(Qga *q, int fd);
void qga_feed(Qga *q, const char *data, size_t length);
