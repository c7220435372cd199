/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-parts.h"

#include <ctype.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"

static QmpChunk *chunk_free(QmpChunk *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n_fds; i++)
                fd_close(c->fds[i]);
        free(c->data);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(QmpChunk *, chunk_free)

void qmp_output_drop(Qmp *q, QmpChunk *c) {
        TAILQ_REMOVE(&q->output, c, entry);
        q->output_size -= c->length;
        chunk_free(c);
}

static int on_broken(_unused_ sd_event_source *s, void *userdata) {
        Qmp *q = userdata;

        qmp_lost(q, q->write_error);
        return 0;
}

/* A vanished reader is left to the reading side, which first delivers what QEMU said before it died. Anything else would go
 * unnoticed there. It is told from the loop, because qmp_send() must not call back. */
static void output_failed(Qmp *q, int error) {
        QmpChunk *c;

        while ((c = TAILQ_FIRST(&q->output)))
                qmp_output_drop(q, c);
        q->write_error = error;
        if (error == EPIPE || error == ECONNRESET || q->broken)
                return;
        if (sd_event_add_defer(q->event, &q->broken, on_broken, q) < 0)
                (void) shutdown(q->fd, SHUT_RDWR);
}

static int chunk_write(Qmp *q, QmpChunk *c) {
        ssize_t n = fd_send(q->fd, c->data + c->sent, c->length - c->sent, c->fds, c->n_fds);

        if (n < 0)
                return (int) n;
        /* Descriptors travel with the first byte. */
        for (size_t i = 0; i < c->n_fds; i++)
                fd_close(c->fds[i]);
        c->n_fds = 0;
        c->sent += (size_t) n;
        return 0;
}

void qmp_output_flush(Qmp *q) {
        QmpChunk *c;
        int r = 0;

        while (q->greeted && r == 0 && (c = TAILQ_FIRST(&q->output))) {
                r = chunk_write(q, c);
                if (r == 0 && c->sent == c->length)
                        qmp_output_drop(q, c);
        }
        if (r < 0 && r != -EAGAIN)
                output_failed(q, -r);
        (void) sd_event_source_set_io_events(q->io, EPOLLIN | (r == -EAGAIN ? EPOLLOUT : 0));
}

static bool is_command(const char *s) {
        if (is_empty(s))
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char) *s) && !strchr("-_.", *s))
                        return false;
        return true;
}

static int chunk_new(const char *command, const json_t *arguments, uint64_t id, QmpChunk **ret) {
        _cleanup_free_ char *text = NULL;
        _cleanup_(chunk_freep) QmpChunk *c = NULL;

        if (arguments) {
                text = json_dumps(arguments, JSON_COMPACT);
                if (!text)
                        return -ENOMEM;
        }
        c = new0(QmpChunk, 1);
        if (!c)
                return -ENOMEM;
        c->id = id;
        c->data = strf("{\"execute\":\"%s\"%s%s,\"id\":%" PRIu64 "}\n", command,
                       text ? ",\"arguments\":" : "", text ?: "", id);
        if (!c->data)
                return -ENOMEM;
        c->length = strlen(c->data);
        *ret = TAKE_PTR(c);
        return 0;
}

static QmpRequest *request_new(const char *command, uint64_t id, QmpReplyFunc reply, void *userdata) {
        _cleanup_(qmp_request_destroyp) QmpRequest *r = new0(QmpRequest, 1);

        if (!r)
                return NULL;
        r->command = strdup(command);
        if (!r->command)
                return NULL;
        r->id = id;
        r->reply = reply;
        r->userdata = userdata;
        return TAKE_PTR(r);
}

int qmp_queue(Qmp *q, const char *command, const json_t *arguments, int *fds, size_t n_fds, uint64_t timeout_usec,
                     QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        _cleanup_(qmp_request_destroyp) QmpRequest *req = NULL;
        _cleanup_(chunk_freep) QmpChunk *c = NULL;
        int r;

        if (!q->open)
                return -ENOTCONN;
        if (!is_command(command) || (arguments && !json_is_object(arguments)))
                return -EINVAL;
        if (n_fds > QMP_FDS_MAX)
                return -E2BIG;
        if (q->n_requests >= QMP_REQUESTS_MAX)
                return -ENOBUFS;
        r = chunk_new(command, arguments, q->last_id + 1, &c);
        if (r < 0)
                return r;
        if (q->output_size + c->length > QMP_OUTPUT_MAX)
                return -ENOBUFS;
        req = request_new(command, c->id, reply, userdata);
        if (!req)
                return -ENOMEM;

        q->last_id++;
        for (; c->n_fds < n_fds; c->n_fds++)
                c->fds[c->n_fds] = TAKE_FD(fds[c->n_fds]);
        req->q = q;
        req->owned = ret != NULL;
        req->deadline = qmp_time_after(q, timeout_usec ?: QMP_TIMEOUT_USEC);
        qmp_arm_timer(q, req->deadline);
        TAILQ_INSERT_TAIL(&q->requests, req, entry);
        q->n_requests++;
        q->output_size += c->length;
        TAILQ_INSERT_TAIL(&q->output, c, entry);
        TAKE_PTR(c);
        if (ret)
                *ret = req;
        TAKE_PTR(req);
        return 0;
}

int qmp_send_fds(Qmp *q, const char *command, json_t *arguments, int *fds, size_t n_fds, uint64_t timeout_usec,
                 QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        json_auto_t *taken = arguments;
        int r;

        assert(q && command && (fds || n_fds == 0));

        r = qmp_queue(q, command, taken, fds, n_fds, timeout_usec, reply, userdata, ret);
        for (size_t i = 0; i < n_fds; i++)
                fds[i] = fd_close(fds[i]);
        if (r < 0)
                return r;
        log_debug("%s: to QEMU: %s", q->label, command);
        qmp_output_flush(q);
        return 0;
}

int qmp_send(Qmp *q, const char *command, json_t *arguments, uint64_t timeout_usec,
             QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        return qmp_send_fds(q, command, arguments, NULL, 0, timeout_usec, reply, userdata, ret);
}

int qmp_send_always(Qmp *q, const char *command, json_t *arguments, uint64_t timeout_usec, QmpReplyFunc reply, void *userdata) {
        int r = qmp_send(q, command, arguments, timeout_usec, reply, userdata, NULL);

        if (r >= 0)
                TAILQ_LAST(&q->requests, RequestList)->always = true;
        return r;
}
