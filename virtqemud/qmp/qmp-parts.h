/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/queue.h>

#include "qmp.h"

/* A Qmp, for the files it is made of: qmp.c (its life, requests and their deadlines), qmp-out.c and qmp-in.c. */
typedef struct QmpChunk QmpChunk;

struct QmpRequest {
        Qmp *q;                         /* NULL: answered, or its Qmp is gone */
        TAILQ_ENTRY(QmpRequest) entry;
        uint64_t id, deadline;
        char *command;
        QmpReplyFunc reply;
        void *userdata;
        bool owned;                     /* a caller holds it and will free it */
        bool always;                    /* its reply is not lost with us */
};

/* One command on its way out. */
struct QmpChunk {
        TAILQ_ENTRY(QmpChunk) entry;
        uint64_t id;
        char *data;
        size_t length, sent;
        size_t n_fds;
        int fds[QMP_FDS_MAX];
};

struct Qmp {
        unsigned n_ref;                 /* 1 for the owner, 1 for each function that calls back */
        bool open, freed, greeted, ready;
        int fd;
        char *label;
        uint32_t version;
        const QmpWatch *watch;
        void *userdata;

        sd_event *event;
        sd_event_source *io, *timer, *broken;
        uint64_t greeting_deadline;
        uint64_t armed;                 /* what the timer is set to */
        int write_error;                /* positive errno, told from the loop */

        uint64_t last_id;
        TAILQ_HEAD(RequestList, QmpRequest) requests;
        size_t n_requests;
        TAILQ_HEAD(QmpChunkList, QmpChunk) output;
        size_t output_size;

        char *input;
        size_t input_length, input_allocated;
        size_t scanned;                 /* no newline before this offset */
};

/* --- qmp.c --- */

void qmp_unref(Qmp *q);
/* Ends it: all requests are answered with that, and the owner hears of it. The caller goes on with the Qmp only if it holds a reference. */
void qmp_close(Qmp *q, const Fault *why);
/* QEMU did what the protocol does not allow. */
void qmp_break(Qmp *q, const char *how);
/* Positive errno, or 0: QEMU has closed it. */
void qmp_lost(Qmp *q, int error);
QmpRequest *qmp_request_destroy(QmpRequest *r);
DEFINE_CLEANUP(QmpRequest *, qmp_request_destroy)
/* The caller must hold a reference to the Qmp. */
void qmp_request_answer(QmpRequest *r, json_t *result, const Fault *fault);
void qmp_arm_timer(Qmp *q, uint64_t when);
uint64_t qmp_time_after(Qmp *q, uint64_t usec);

/* --- qmp-out.c --- */

void qmp_output_drop(Qmp *q, QmpChunk *c);
/* As qmp_send_fds(), without writing anything yet; of the descriptors those are left that were not taken. */
int qmp_queue(Qmp *q, const char *command, const json_t *arguments, int *fds, size_t n_fds, uint64_t timeout_usec,
              QmpReplyFunc reply, void *userdata, QmpRequest **ret);
void qmp_output_flush(Qmp *q);

/* --- qmp-in.c --- */

/* False: nothing more has come. */
bool qmp_input_read(Qmp *q);
