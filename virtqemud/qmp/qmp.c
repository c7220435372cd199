/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-parts.h"

#include <sys/epoll.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

/* ---- lifetime ---- */

QmpRequest *qmp_request_destroy(QmpRequest *r) {
        if (!r)
                return NULL;
        free(r->command);
        free(r);
        return NULL;
}

static void request_detach(QmpRequest *r) {
        if (!r->q)
                return;
        TAILQ_REMOVE(&r->q->requests, r, entry);
        r->q->n_requests--;
        r->q = NULL;
}

void qmp_unref(Qmp *q) {
        if (--q->n_ref > 0)
                return;
        free(q->input);
        free(q->label);
        sd_event_unref(q->event);
        free(q);
}

/* Ends all traffic; open requests stay listed. */
static void qmp_shut(Qmp *q) {
        QmpChunk *c;

        q->open = false;
        q->io = sd_event_source_disable_unref(q->io);
        q->timer = sd_event_source_disable_unref(q->timer);
        q->broken = sd_event_source_disable_unref(q->broken);
        q->fd = fd_close(q->fd);
        while ((c = TAILQ_FIRST(&q->output)))
                qmp_output_drop(q, c);
}

/* A command that nobody waits for any more and of which QEMU saw no byte is taken back. */
static void request_unqueue(QmpRequest *r) {
        QmpChunk *c;

        TAILQ_FOREACH(c, &r->q->output, entry)
                if (c->id == r->id) {
                        if (c->sent == 0)
                                qmp_output_drop(r->q, c);
                        return;
                }
}

QmpRequest *qmp_request_free(QmpRequest *r) {
        if (!r)
                return NULL;
        if (r->q) {
                request_unqueue(r);
                request_detach(r);
        }
        return qmp_request_destroy(r);
}

/* The caller must hold a reference to the Qmp. */
void qmp_request_answer(QmpRequest *r, json_t *result, const Fault *fault) {
        Qmp *q = r->q;
        QmpReplyFunc reply = r->reply;
        void *userdata = r->userdata;

        request_detach(r);
        if (!r->owned)
                qmp_request_destroy(r);
        if (reply)
                reply(q, result, fault, userdata);
}

Qmp *qmp_free(Qmp *q) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        QmpRequest *r;

        if (!q)
                return NULL;

        assert(!q->freed);
        q->freed = true;
        qmp_shut(q);
        while ((r = TAILQ_FIRST(&q->requests))) {
                if (r->always) {
                        if (!fault_is_set(&f))
                                fault_set(&f, FAULT_DISCONNECTED, ENOTCONN, "%s: QEMU has ended", q->label);
                        qmp_request_answer(r, NULL, &f);
                        continue;
                }
                assert(r->q == q);
                request_detach(r);
                if (!r->owned)
                        qmp_request_destroy(r);
        }
        qmp_unref(q);
        return NULL;
}

void qmp_close(Qmp *q, const Fault *why) {
        QmpRequest *r;

        if (!q->open)
                return;

        q->n_ref++;
        qmp_shut(q);
        while (!q->freed && (r = TAILQ_FIRST(&q->requests)))
                qmp_request_answer(r, NULL, why);
        if (!q->freed && q->watch->closed)
                q->watch->closed(q, why, q->userdata);
        qmp_unref(q);
}

void qmp_break(Qmp *q, const char *how) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_QEMU, EBADMSG, "%s: QEMU broke the monitor protocol: %s", q->label, how);
        qmp_close(q, &f);
}

void qmp_lost(Qmp *q, int error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *when = q->greeted ? "" : " before it greeted";

        if (error > 0 && error != ECONNRESET)
                fault_set(&f, FAULT_DISCONNECTED, error, "%s: the monitor of QEMU failed%s: %s", q->label, when, strerror(error));
        else
                fault_set(&f, FAULT_DISCONNECTED, ECONNRESET, "%s: QEMU closed its monitor%s", q->label, when);
        qmp_close(q, &f);
}

/* ---- time ---- */

void qmp_arm_timer(Qmp *q, uint64_t when) {
        if (!q->timer || when >= q->armed)
                return;
        q->armed = when;
        (void) sd_event_source_set_time(q->timer, when);
        (void) sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
}

uint64_t qmp_time_after(Qmp *q, uint64_t usec) {
        uint64_t now;

        if (usec == UINT64_MAX || sd_event_now(q->event, CLOCK_MONOTONIC, &now) < 0 || usec > UINT64_MAX - now)
                return UINT64_MAX;
        return now + usec;
}

static void request_expire(Qmp *q, QmpRequest *r) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s: QEMU did not answer %s in time", q->label, r->command);
        request_unqueue(r);
        qmp_request_answer(r, NULL, &f);
}

static QmpRequest *request_overdue(Qmp *q, uint64_t now) {
        QmpRequest *r;

        TAILQ_FOREACH(r, &q->requests, entry)
                if (r->deadline <= now)
                        return r;
        return NULL;
}

static int on_timer(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Qmp *q = userdata;
        QmpRequest *r;
        uint64_t now;

        q->n_ref++;
        if (sd_event_now(q->event, CLOCK_MONOTONIC, &now) < 0)
                now = usec;
        if (!q->ready && q->greeting_deadline <= now) {
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s: QEMU did not %s in time", q->label,
                          q->greeted ? "answer qmp_capabilities" : "greet on its monitor");
                qmp_close(q, &f);
        }
        while (q->open && (r = request_overdue(q, now)))
                request_expire(q, r);
        if (q->open) {
                q->armed = UINT64_MAX;
                if (!q->ready)
                        qmp_arm_timer(q, q->greeting_deadline);
                TAILQ_FOREACH(r, &q->requests, entry)
                        qmp_arm_timer(q, r->deadline);
        }
        qmp_unref(q);
        return 0;
}

/* ---- making one ---- */

static int on_io(_unused_ sd_event_source *s, _unused_ int fd, uint32_t events, void *userdata) {
        Qmp *q = userdata;

        q->n_ref++;
        if (events & EPOLLOUT)
                qmp_output_flush(q);
        if (q->open && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                (void) qmp_input_read(q);
        qmp_unref(q);
        return 0;
}

static int qmp_watch_fd(Qmp *q, int fd, uint64_t greeting_usec) {
        int r;

        r = fd_set_nonblock(fd, true);
        if (r < 0)
                return r;
        r = sd_event_add_io(q->event, &q->io, fd, EPOLLIN, on_io, q);
        if (r < 0)
                return r;
        q->greeting_deadline = qmp_time_after(q, greeting_usec ?: QMP_GREETING_USEC);
        r = sd_event_add_time(q->event, &q->timer, CLOCK_MONOTONIC, q->greeting_deadline, 10000, on_timer, q);
        if (r < 0)
                return r;
        q->armed = q->greeting_deadline;
        /* After a pause of our own, answers that have arrived count before deadlines that have passed. */
        return sd_event_source_set_priority(q->timer, SD_EVENT_PRIORITY_NORMAL + 1);
}

int qmp_new(sd_event *e, int fd, const char *label, uint64_t greeting_usec, const QmpWatch *watch, void *userdata, Qmp **ret) {
        _cleanup_qmp_ Qmp *q = NULL;
        int r;

        assert(e && fd >= 0 && label && watch && ret);

        q = new0(Qmp, 1);
        if (!q)
                return -ENOMEM;
        q->n_ref = 1;
        q->fd = -1;
        q->watch = watch;
        q->userdata = userdata;
        q->event = sd_event_ref(e);
        TAILQ_INIT(&q->requests);
        TAILQ_INIT(&q->output);
        q->label = strdup(label);
        if (!q->label)
                return -ENOMEM;
        r = qmp_watch_fd(q, fd, greeting_usec);
        if (r < 0)
                return r;
        q->fd = fd;
        q->open = true;
        *ret = TAKE_PTR(q);
        return 0;
}

bool qmp_is_ready(const Qmp *q) {
        assert(q);
        return q->open && q->ready;
}

bool qmp_is_open(const Qmp *q) {
        assert(q);
        return q->open;
}

uint32_t qmp_version(const Qmp *q) {
        assert(q);
        return q->version;
}
