/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#define READ_STEP ((size_t) 64 * 1024)
#define INPUT_KEEP ((size_t) 256 * 1024)

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
typedef struct Chunk {
        TAILQ_ENTRY(Chunk) entry;
        uint64_t id;
        char *data;
        size_t length, sent;
        size_t n_fds;
        int fds[QMP_FDS_MAX];
} Chunk;

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
        TAILQ_HEAD(ChunkList, Chunk) output;
        size_t output_size;

        char *input;
        size_t input_length, input_allocated;
        size_t scanned;                 /* no newline before this offset */
};

/* ---- lifetime ---- */

static Chunk *chunk_free(Chunk *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n_fds; i++)
                fd_close(c->fds[i]);
        free(c->data);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Chunk *, chunk_free)

static void output_drop(Qmp *q, Chunk *c) {
        TAILQ_REMOVE(&q->output, c, entry);
        q->output_size -= c->length;
        chunk_free(c);
}

static QmpRequest *request_destroy(QmpRequest *r) {
        if (!r)
                return NULL;
        free(r->command);
        free(r);
        return NULL;
}
DEFINE_CLEANUP(QmpRequest *, request_destroy)

static void request_detach(QmpRequest *r) {
        if (!r->q)
                return;
        TAILQ_REMOVE(&r->q->requests, r, entry);
        r->q->n_requests--;
        r->q = NULL;
}

static void qmp_unref(Qmp *q) {
        if (--q->n_ref > 0)
                return;
        free(q->input);
        free(q->label);
        sd_event_unref(q->event);
        free(q);
}

/* Ends all traffic; open requests stay listed. */
static void qmp_shut(Qmp *q) {
        Chunk *c;

        q->open = false;
        q->io = sd_event_source_disable_unref(q->io);
        q->timer = sd_event_source_disable_unref(q->timer);
        q->broken = sd_event_source_disable_unref(q->broken);
        q->fd = fd_close(q->fd);
        while ((c = TAILQ_FIRST(&q->output)))
                output_drop(q, c);
}

/* A command that nobody waits for any more and of which QEMU saw no byte is taken back. */
static void request_unqueue(QmpRequest *r) {
        Chunk *c;

        TAILQ_FOREACH(c, &r->q->output, entry)
                if (c->id == r->id) {
                        if (c->sent == 0)
                                output_drop(r->q, c);
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
        return request_destroy(r);
}

/* The caller must hold a reference to the Qmp. */
static void request_answer(QmpRequest *r, json_t *result, const Fault *fault) {
        Qmp *q = r->q;
        QmpReplyFunc reply = r->reply;
        void *userdata = r->userdata;

        request_detach(r);
        if (!r->owned)
                request_destroy(r);
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
                        request_answer(r, NULL, &f);
                        continue;
                }
                assert(r->q == q);
                request_detach(r);
                if (!r->owned)
                        request_destroy(r);
        }
        qmp_unref(q);
        return NULL;
}

static void qmp_close(Qmp *q, const Fault *why) {
        QmpRequest *r;

        if (!q->open)
                return;

        q->n_ref++;
        qmp_shut(q);
        while (!q->freed && (r = TAILQ_FIRST(&q->requests)))
                request_answer(r, NULL, why);
        if (!q->freed && q->watch->closed)
                q->watch->closed(q, why, q->userdata);
        qmp_unref(q);
}

static void qmp_break(Qmp *q, const char *how) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_QEMU, EBADMSG, "%s: QEMU broke the monitor protocol: %s", q->label, how);
        qmp_close(q, &f);
}

static void qmp_lost(Qmp *q, int error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *when = q->greeted ? "" : " before it greeted";

        if (error > 0 && error != ECONNRESET)
                fault_set(&f, FAULT_DISCONNECTED, error, "%s: the monitor of QEMU failed%s: %s", q->label, when, strerror(error));
        else
                fault_set(&f, FAULT_DISCONNECTED, ECONNRESET, "%s: QEMU closed its monitor%s", q->label, when);
        qmp_close(q, &f);
}

/* ---- time ---- */

static void timer_arm(Qmp *q, uint64_t when) {
        if (!q->timer || when >= q->armed)
                return;
        q->armed = when;
        (void) sd_event_source_set_time(q->timer, when);
        (void) sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
}

static uint64_t time_after(Qmp *q, uint64_t usec) {
        uint64_t now;

        if (usec == UINT64_MAX || sd_event_now(q->event, CLOCK_MONOTONIC, &now) < 0 || usec > UINT64_MAX - now)
                return UINT64_MAX;
        return now + usec;
}

static void request_expire(Qmp *q, QmpRequest *r) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s: QEMU did not answer %s in time", q->label, r->command);
        request_unqueue(r);
        request_answer(r, NULL, &f);
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
                        timer_arm(q, q->greeting_deadline);
                TAILQ_FOREACH(r, &q->requests, entry)
                        timer_arm(q, r->deadline);
        }
        qmp_unref(q);
        return 0;
}

/* ---- out ---- */

static int on_broken(_unused_ sd_event_source *s, void *userdata) {
        Qmp *q = userdata;

        qmp_lost(q, q->write_error);
        return 0;
}

/* A vanished reader is left to the reading side, which first delivers what QEMU said before it died. Anything else would go
 * unnoticed there. It is told from the loop, because qmp_send() must not call back. */
static void output_failed(Qmp *q, int error) {
        Chunk *c;

        while ((c = TAILQ_FIRST(&q->output)))
                output_drop(q, c);
        q->write_error = error;
        if (error == EPIPE || error == ECONNRESET || q->broken)
                return;
        if (sd_event_add_defer(q->event, &q->broken, on_broken, q) < 0)
                (void) shutdown(q->fd, SHUT_RDWR);
}

static int chunk_write(Qmp *q, Chunk *c) {
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

static void output_flush(Qmp *q) {
        Chunk *c;
        int r = 0;

        while (q->greeted && r == 0 && (c = TAILQ_FIRST(&q->output))) {
                r = chunk_write(q, c);
                if (r == 0 && c->sent == c->length)
                        output_drop(q, c);
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

static int chunk_new(const char *command, const json_t *arguments, uint64_t id, Chunk **ret) {
        _cleanup_free_ char *text = NULL;
        _cleanup_(chunk_freep) Chunk *c = NULL;

        if (arguments) {
                text = json_dumps(arguments, JSON_COMPACT);
                if (!text)
                        return -ENOMEM;
        }
        c = new0(Chunk, 1);
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
        _cleanup_(request_destroyp) QmpRequest *r = new0(QmpRequest, 1);

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

static int qmp_queue(Qmp *q, const char *command, const json_t *arguments, int *fds, size_t n_fds, uint64_t timeout_usec,
                     QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        _cleanup_(request_destroyp) QmpRequest *req = NULL;
        _cleanup_(chunk_freep) Chunk *c = NULL;
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
        req->deadline = time_after(q, timeout_usec ?: QMP_TIMEOUT_USEC);
        timer_arm(q, req->deadline);
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
        output_flush(q);
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

/* ---- in ---- */

static void on_capabilities(Qmp *q, _unused_ json_t *result, const Fault *fault, _unused_ void *userdata) {
        if (fault) {
                qmp_close(q, fault);
                return;
        }
        q->ready = true;
        if (q->watch->ready)
                q->watch->ready(q, q->userdata);
}

static bool as_u64(const json_t *json, uint64_t *ret) {
        if (json_is_integer(json) && json_integer_value(json) >= 0)
                *ret = (uint64_t) json_integer_value(json);
        else if (json_is_real(json) && json_real_value(json) >= 0 && json_real_value(json) < 18446744073709551616.0)
                *ret = (uint64_t) json_real_value(json);
        else
                return false;
        return true;
}

static uint64_t version_part(const json_t *qemu, const char *key) {
        uint64_t n;

        return as_u64(json_object_get(qemu, key), &n) ? MIN(n, UINT64_C(999)) : 0;
}

static void qmp_greeting(Qmp *q, const json_t *greeting) {
        const json_t *qemu = json_object_get(json_object_get(greeting, "version"), "qemu");
        Chunk *c;

        if (q->greeted) {
                qmp_break(q, "a second greeting");
                return;
        }
        q->version = QEMU_VERSION(version_part(qemu, "major"), version_part(qemu, "minor"), version_part(qemu, "micro"));
        if (qmp_queue(q, "qmp_capabilities", NULL, NULL, 0, QMP_TIMEOUT_NEVER, on_capabilities, NULL, NULL) < 0) {
                qmp_lost(q, ENOMEM);
                return;
        }
        /* QEMU works through what it reads in order, so what waits can follow at once. */
        c = TAILQ_LAST(&q->output, ChunkList);
        TAILQ_REMOVE(&q->output, c, entry);
        TAILQ_INSERT_HEAD(&q->output, c, entry);
        q->greeted = true;
        output_flush(q);
}

static void qmp_event(Qmp *q, const json_t *root, const char *name) {
        json_t *stamp = json_object_get(root, "timestamp"), *data = json_object_get(root, "data");
        uint64_t seconds, usec;

        if (!as_u64(json_object_get(stamp, "seconds"), &seconds) ||
            !as_u64(json_object_get(stamp, "microseconds"), &usec) || seconds > UINT64_MAX / 2000000 || usec >= 1000000)
                seconds = usec = 0;
        if (q->watch->event)
                q->watch->event(q, name, json_is_object(data) ? data : NULL, seconds * 1000000 + usec, q->userdata);
}

static QmpRequest *request_find(Qmp *q, const json_t *id) {
        QmpRequest *r;
        uint64_t n;

        if (!as_u64(id, &n))
                return NULL;
        TAILQ_FOREACH(r, &q->requests, entry)
                if (r->id == n)
                        return r;
        return NULL;
}

static void qmp_reply(Qmp *q, const json_t *root) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const json_t *error = json_object_get(root, "error");
        const char *desc = json_string_value(json_object_get(error, "desc"));
        const char *class = json_string_value(json_object_get(error, "class"));
        QmpRequest *r = request_find(q, json_object_get(root, "id"));

        /* Late answers to what timed out or was forgotten. */
        if (!r) {
                log_debug("%s: QEMU answered what nobody waits for%s%s", q->label, desc ? ": " : "", desc ?: "");
                return;
        }
        if (!error) {
                request_answer(r, json_object_get(root, "return"), NULL);
                return;
        }
        fault_set(&f, FAULT_QEMU, streq_null(class, "CommandNotFound") ? EOPNOTSUPP : streq_null(class, "DeviceNotFound") ? ENODEV : EIO,
                  "%s: QEMU refused %s: %s", q->label, r->command, desc ?: "it gave no reason");
        if (!r->reply)
                log_warning("%s", fault_text(&f));
        request_answer(r, NULL, &f);
}

static void qmp_message(Qmp *q, const json_t *root) {
        const char *event = json_string_value(json_object_get(root, "event"));
        const json_t *greeting = json_object_get(root, "QMP");

        if (json_is_object(greeting))
                qmp_greeting(q, greeting);
        else if (!q->greeted)
                qmp_break(q, "it does not start with a QMP greeting");
        else if (event)
                qmp_event(q, root, event);
        else if (json_object_get(root, "return") || json_object_get(root, "error"))
                qmp_reply(q, root);
        else
                qmp_break(q, "a message that is neither answer nor event");
}

/* Depth is counted before parsing, because a parser that recurses spends our stack on it. */
static bool too_deep(const char *line, size_t length) {
        unsigned depth = 0;
        bool quoted = false;

        for (size_t i = 0; i < length; i++) {
                char c = line[i];

                if (quoted) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                quoted = false;
                } else if (c == '"')
                        quoted = true;
                else if (c == '{' || c == '[') {
                        if (++depth > QMP_DEPTH_MAX)
                                return true;
                } else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
        }
        return false;
}

/* How many digits there are that are a number beyond INT64_MAX, but none beyond UINT64_MAX; 0: they aren't. */
static size_t large_number(const char *p, const char *end) {
        char digits[21] = {};
        uint64_t value;
        size_t n = 0;

        while (p + n < end && isdigit((unsigned char) p[n]))
                n++;
        if (n >= sizeof(digits) || (p + n < end && strchr(".eE", p[n])))
                return 0;
        memcpy(digits, p, n);
        return parse_u64(digits, 10, &value) >= 0 && value > INT64_MAX ? n : 0;
}

/* The line with such numbers as strings. */
static char *quote_large_numbers(const char *line, size_t length) {
        const char *end = line + length;
        _cleanup_text_ Text t = TEXT_INIT;
        bool quoted = false;

        for (const char *p = line; p < end; p++) {
                bool first = !quoted && isdigit((unsigned char) *p) && (p == line || strchr(":,[ \t", p[-1]));
                size_t n = first ? large_number(p, end) : 0;

                if (n > 0) {
                        text_addf(&t, "\"%.*s\"", (int) n, p);
                        p += n - 1;
                        continue;
                }
                if (quoted && *p == '\\' && p + 1 < end)
                        text_addn(&t, p++, 1);
                else if (*p == '"')
                        quoted = !quoted;
                text_addn(&t, p, 1);
        }
        return text_finish(&t);
}

static json_t *line_parse(const char *line, size_t length, json_error_t *error) {
        json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES, error);
        _cleanup_free_ char *quoted = NULL;

        /* An integer beyond INT64_MAX is legal in QMP, but makes the parser reject the whole document. */
        if (root || json_error_code(error) != json_error_numeric_overflow)
                return root;
        quoted = quote_large_numbers(line, length);
        return quoted ? json_loads(quoted, JSON_REJECT_DUPLICATES, error) : NULL;
}

static void qmp_line(Qmp *q, const char *line, size_t length) {
        _cleanup_free_ char *how = NULL;
        json_auto_t *root = NULL;
        json_error_t error;

        while (length > 0 && isspace((unsigned char) line[length - 1]))
                length--;
        if (length == 0)
                return;
        if (too_deep(line, length)) {
                qmp_break(q, "a message nested too deep");
                return;
        }
        root = line_parse(line, length, &error);
        if (json_is_object(root)) {
                qmp_message(q, root);
                return;
        }
        how = strf("a line that is no JSON object (%s)", root ? "another value" : error.text);
        qmp_break(q, how ?: "a line that is no JSON object");
}

/* Works through the complete lines in the buffer; each byte is looked at once for its newline. */
static void input_process(Qmp *q) {
        size_t start = 0;

        q->n_ref++;
        while (q->open) {
                const char *end = memchr(q->input + q->scanned, '\n', q->input_length - q->scanned);
                size_t from = start, length = (end ? (size_t) (end - q->input) : q->input_length) - from;

                q->scanned = end ? (size_t) (end - q->input) + 1 : q->input_length;
                if (length > QMP_LINE_MAX) {
                        qmp_break(q, "a line longer than 16 MiB");
                        break;
                }
                if (!end)
                        break;
                start = q->scanned;
                qmp_line(q, q->input + from, length);
        }
        if (q->open && start > 0) {
                memmove(q->input, q->input + start, q->input_length - start);
                q->input_length -= start;
                q->scanned -= start;
                /* One huge answer must not hold its memory for the life of the VM. */
                if (q->input_length == 0 && q->input_allocated > INPUT_KEEP) {
                        free(TAKE_PTR(q->input));
                        q->input_allocated = 0;
                }
        }
        qmp_unref(q);
}

void qmp_feed(Qmp *q, const char *data, size_t length) {
        assert(q && (data || length == 0));

        q->n_ref++;
        while (length > 0 && q->open) {
                size_t n = MIN(length, READ_STEP);

                if (!GROW(q->input, q->input_allocated, q->input_length + n)) {
                        qmp_lost(q, ENOMEM);
                        break;
                }
                memcpy(q->input + q->input_length, data, n);
                q->input_length += n;
                data += n;
                length -= n;
                input_process(q);
        }
        qmp_unref(q);
}

static void input_read(Qmp *q) {
        ssize_t n;

        if (!GROW(q->input, q->input_allocated, q->input_length + READ_STEP / 4)) {
                qmp_lost(q, ENOMEM);
                return;
        }
        n = recv(q->fd, q->input + q->input_length, MIN(q->input_allocated - q->input_length, READ_STEP), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                qmp_lost(q, n < 0 ? errno : 0);
                return;
        }
        q->input_length += (size_t) n;
        input_process(q);
}

static int on_io(_unused_ sd_event_source *s, _unused_ int fd, uint32_t events, void *userdata) {
        Qmp *q = userdata;

        q->n_ref++;
        if (events & EPOLLOUT)
                output_flush(q);
        if (q->open && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                input_read(q);
        qmp_unref(q);
        return 0;
}

/* ---- making one ---- */

static int qmp_watch_fd(Qmp *q, int fd, uint64_t greeting_usec) {
        int r;

        r = fd_set_nonblock(fd, true);
        if (r < 0)
                return r;
        r = sd_event_add_io(q->event, &q->io, fd, EPOLLIN, on_io, q);
        if (r < 0)
                return r;
        q->greeting_deadline = time_after(q, greeting_usec ?: QMP_GREETING_USEC);
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
