/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qga.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "json-line.h"
#include "log.h"
#include "mem.h"
#include "socket.h"
#include "str.h"

#define READ_STEP ((size_t) 64 * 1024)
#define DEPTH_MAX 64u
#define SAID_MAX 300                    /* bytes of the guest's words that are passed on */
#define DELIMITER '\xff'                /* no text has it: what stands before it is not meant for us */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 50)

struct QgaCall {
        Qga *q;                         /* NULL: answered, or its Qga is gone */
        TAILQ_ENTRY(QgaCall) entry;
        uint64_t deadline;
        char *command, *line;
        QgaReply reply;
        void *userdata;
        bool owned;
};

typedef enum Phase {
        PHASE_IDLE,                     /* nobody waits */
        PHASE_SYNC,                     /* for the number that was sent before the first call's command */
        PHASE_ANSWER,                   /* for the answer to that */
} Phase;

struct Qga {
        unsigned n_ref;                 /* 1 for the owner, 1 for each function that calls back */
        bool freed;
        sd_event *event;
        char *label, *path;
        void (*answered)(bool yes, void *userdata);
        void *userdata;

        int fd;                         /* -1: the guest's end is closed */
        sd_event_source *io, *timer, *kick;
        TAILQ_HEAD(CallList, QgaCall) calls;
        size_t n_calls;
        Phase phase;
        uint32_t sync;

        char *output;
        size_t output_length, sent;
        char *input;
        size_t input_length, input_allocated, scanned;
        bool overlong;                  /* the rest of this line is dropped */
};

/* --- calls --- */

static QgaCall *call_destroy(QgaCall *c) {
        free(c->command);
        free(c->line);
        free(c);
        return NULL;
}

static void call_detach(QgaCall *c) {
        Qga *q = TAKE_PTR(c->q);

        TAILQ_REMOVE(&q->calls, c, entry);
        q->n_calls--;
}

static void call_answer(QgaCall *c, json_t *result, const Fault *why) {
        QgaReply reply = c->reply;
        void *userdata = c->userdata;

        call_detach(c);
        if (!c->owned)
                call_destroy(c);
        reply(result, why, userdata);
}

static void next(Qga *q);

/* What is under way is left to itself: the next number to come in step with tells its answer from others. */
static void stop_waiting(Qga *q) {
        q->phase = PHASE_IDLE;
        q->output_length = q->sent = 0;
        q->input_length = q->scanned = 0;
        q->overlong = false;
}

QgaCall *qga_call_free(QgaCall *c) {
        Qga *q;

        if (!c)
                return NULL;
        q = c->q;
        if (q) {
                bool first = TAILQ_FIRST(&q->calls) == c && q->phase != PHASE_IDLE;

                call_detach(c);
                if (first) {
                        stop_waiting(q);
                        next(q);
                }
        }
        return call_destroy(c);
}

/* --- lifetime --- */

static void unref(Qga *q) {
        if (--q->n_ref > 0)
                return;
        free(q->input);
        free(q->output);
        free(q->label);
        free(q->path);
        sd_event_unref(q->event);
        free(q);
}

static void shut(Qga *q) {
        q->io = sd_event_source_disable_unref(q->io);
        q->timer = sd_event_source_disable_unref(q->timer);
        q->kick = sd_event_source_disable_unref(q->kick);
        q->fd = fd_close(q->fd);
        stop_waiting(q);
}

Qga *qga_free(Qga *q) {
        QgaCall *c;

        if (!q)
                return NULL;
        q->freed = true;
        shut(q);
        while ((c = TAILQ_FIRST(&q->calls))) {
                call_detach(c);
                if (!c->owned)
                        call_destroy(c);
        }
        unref(q);
        return NULL;
}

int qga_new(sd_event *e, const char *label, const char *path, void (*answered)(bool yes, void *userdata), void *userdata, Qga **ret) {
        _cleanup_(qga_freep) Qga *q = new0(Qga, 1);

        assert(e && label && path && ret);

        if (!q)
                return -ENOMEM;
        *q = (Qga) { .n_ref = 1, .event = sd_event_ref(e), .fd = -1, .answered = answered, .userdata = userdata };
        TAILQ_INIT(&q->calls);
        q->label = strdup(label);
        q->path = strdup(path);
        if (!q->label || !q->path)
                return -ENOMEM;
        *ret = TAKE_PTR(q);
        return 0;
}

static void fail_all(Qga *q, const Fault *why) {
        QgaCall *c;

        while (!q->freed && (c = TAILQ_FIRST(&q->calls)))
                call_answer(c, NULL, why);
}

static void lost(Qga *q, const char *how) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_DISCONNECTED, ENOTCONN, "the guest agent of %s %s", q->label, how);
        q->n_ref++;
        shut(q);
        fail_all(q, &f);
        unref(q);
}

/* --- answers --- */

/* The first call is over; the next one has its turn. */
static void first_done(Qga *q, json_t *result, const Fault *why, bool heard) {
        q->n_ref++;
        stop_waiting(q);
        if (q->answered)
                q->answered(heard, q->userdata);
        if (!q->freed && TAILQ_FIRST(&q->calls))
                call_answer(TAILQ_FIRST(&q->calls), result, why);
        if (!q->freed)
                next(q);
        unref(q);
}

static void refused(Qga *q, const json_t *error) {
        const char *what = json_string_value(json_object_get(error, "desc")) ?: "it gave no reason";
        const char *class = json_string_value(json_object_get(error, "class"));
        const char *command = TAILQ_FIRST(&q->calls)->command;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (streq_null(class, "CommandNotFound") || streq_null(class, "CommandDisabled"))
                fault_set(&f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "the guest agent of %s does not do %s: %.*s", q->label, command, SAID_MAX, what);
        else
                fault_set(&f, FAULT_GUEST_AGENT, EIO, "the guest agent of %s refused %s: %.*s", q->label, command, SAID_MAX, what);
        first_done(q, NULL, &f, true);
}

static void garbled(Qga *q, const char *how) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_GUEST_AGENT, EBADMSG, "the guest agent of %s answered %s with %s", q->label, TAILQ_FIRST(&q->calls)->command, how);
        first_done(q, NULL, &f, true);
}

static bool is_our_number(const Qga *q, const json_t *root) {
        const json_t *number = json_object_get(root, "return");

        return json_is_integer(number) && json_integer_value(number) == (json_int_t) q->sync;
}

static void take_line(Qga *q, const char *line, size_t length) {
        const char *after = memrchr(line, DELIMITER, length);
        json_auto_t *root = NULL;

        if (q->phase == PHASE_SYNC) {
                if (!after)
                        return;
                length -= (size_t) (after + 1 - line);
                line = after + 1;
        }
        if (q->phase == PHASE_IDLE || length == 0)
                return;
        root = json_line_is_deep(line, length, DEPTH_MAX) ? NULL : json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        if (q->phase == PHASE_SYNC) {
                if (is_our_number(q, root))
                        q->phase = PHASE_ANSWER;
                return;
        }
        if (json_object_get(root, "return"))
                first_done(q, json_object_get(root, "return"), NULL, true);
        else if (json_object_get(root, "error"))
                refused(q, json_object_get(root, "error"));
        else
                garbled(q, "what is no answer");
}

/* Before both are in step nothing counts but what stands behind the last delimiter. */
static void drop_before_delimiter(Qga *q) {
        const char *last = memrchr(q->input, DELIMITER, q->input_length);
        size_t dropped = last ? (size_t) (last - q->input) : q->input_length;

        q->input_length -= dropped;
        memmove(q->input, q->input + dropped, q->input_length);
        q->scanned = 0;
        q->overlong = false;
}

static void too_long(Qga *q) {
        if (q->phase == PHASE_ANSWER)
                garbled(q, "more than can be taken");
}

/* Complete lines; those that are too long are an answer that is no use. */
static void take_input(Qga *q) {
        char *end;

        while (!q->freed && q->phase != PHASE_IDLE && (end = memchr(q->input + q->scanned, '\n', q->input_length - q->scanned))) {
                size_t length = (size_t) (end - q->input), rest = q->input_length - length - 1;
                bool overlong = TAKE(q->overlong, false);
                _cleanup_free_ char *line = overlong || length >= QGA_ANSWER_MAX ? NULL : malloc(length + 1);

                if (line) /* as long as it is, whatever bytes are in it */
                        memcpy(line, q->input, length);
                memmove(q->input, end + 1, rest);
                q->input_length = rest;
                q->scanned = 0;
                if (line)
                        take_line(q, line, length);
                else if (!overlong)
                        too_long(q);
        }
        q->scanned = q->input_length;
        if (q->freed || q->input_length < QGA_ANSWER_MAX)
                return;
        q->input_length = q->scanned = 0;
        q->overlong = true;
        too_long(q);
}

void qga_feed(Qga *q, const char *data, size_t length) {
        assert(q && data);

        if (q->phase == PHASE_IDLE || length == 0 || length > QGA_ANSWER_MAX)
                return;
        if (!GROW(q->input, q->input_allocated, q->input_length + length)) {
                garbled(q, "more than there is memory for");
                return;
        }
        memcpy(q->input + q->input_length, data, length);
        q->input_length += length;
        if (q->phase == PHASE_SYNC)
                drop_before_delimiter(q);
        q->n_ref++;
        take_input(q);
        unref(q);
}

/* --- in and out --- */

static void set_events(Qga *q) {
        uint32_t events = (q->phase != PHASE_IDLE ? EPOLLIN : 0u) | (q->sent < q->output_length ? EPOLLOUT : 0u);

        if (q->io)
                (void) sd_event_source_set_io_events(q->io, events);
}

static int flush(Qga *q) {
        while (q->sent < q->output_length) {
                ssize_t n = send(q->fd, q->output + q->sent, q->output_length - q->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                q->sent += (size_t) n;
        }
        return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Qga *q = userdata;
        char data[READ_STEP];
        ssize_t n = 0;

        if ((events & EPOLLOUT) && flush(q) < 0)
                events |= EPOLLHUP;
        if (events & EPOLLIN) {
                n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                        events |= EPOLLHUP;
        }
        if (n > 0) {
                q->n_ref++;
                qga_feed(q, data, (size_t) n);
                if (!q->freed)
                        set_events(q);
                unref(q);
        } else if (events & (EPOLLHUP | EPOLLERR))
                lost(q, "has gone");
        else
                set_events(q);
        return 0;
}

static void arm(Qga *q);

/* Those that have waited too long, wherever they are in the queue. */
static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Qga *q = userdata;

        q->n_ref++;
        while (!q->freed) {
                QgaCall *c, *first = TAILQ_FIRST(&q->calls);
                _cleanup_fault_ Fault f = FAULT_INIT;

                TAILQ_FOREACH(c, &q->calls, entry)
                        if (c->deadline <= usec)
                                break;
                if (!c)
                        break;
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the guest agent of %s did not answer %s in time", q->label, c->command);
                if (c == first && q->phase != PHASE_IDLE)
                        first_done(q, NULL, &f, false);
                else
                        call_answer(c, NULL, &f);
        }
        if (!q->freed)
                arm(q);
        unref(q);
        return 0;
}

static void arm(Qga *q) {
        uint64_t when = UINT64_MAX;
        QgaCall *c;

        TAILQ_FOREACH(c, &q->calls, entry)
                when = MIN(when, c->deadline);
        if (!q->timer || when == UINT64_MAX)
                return;
        (void) sd_event_source_set_time(q->timer, when);
        (void) sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
}

static void next(Qga *q) {
        QgaCall *c = TAILQ_FIRST(&q->calls);

        arm(q);
        if (q->fd < 0 || q->phase != PHASE_IDLE)
                return;
        if (c) {
                size_t n;

                q->sync++;
                free_and_replace(&q->output, strf("%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" PRIu32 "}}\n%s\n", DELIMITER, q->sync,
                                                  c->line));
                n = q->output ? strlen(q->output) : 0;
                q->output_length = n;
                q->sent = 0;
                q->phase = PHASE_SYNC;
                (void) flush(q); /* an error is seen when it is read from */
        }
        set_events(q);
}

static int on_kick(sd_event_source *source, void *userdata) {
        next(userdata);
        return 0;
}

/* --- for those who ask --- */

static int watch(Qga *q, int fd) {
        int r = sd_event_add_io(q->event, &q->io, fd, 0, on_io, q);

        if (r >= 0)
                r = sd_event_source_set_priority(q->io, PRIORITY);
        if (r >= 0)
                r = sd_event_add_time(q->event, &q->timer, CLOCK_MONOTONIC, UINT64_MAX, 10000, on_time, q);
        if (r >= 0)
                r = sd_event_source_set_priority(q->timer, PRIORITY + 1); /* answers that are there count before deadlines that have passed */
        if (r >= 0)
                r = sd_event_add_defer(q->event, &q->kick, on_kick, q);
        return r < 0 ? r : sd_event_source_set_enabled(q->kick, SD_EVENT_OFF);
}

int qga_open_fd(Qga *q, int fd) {
        int r;

        assert(q && q->fd < 0 && fd >= 0);

        r = watch(q, fd);
        if (r < 0) {
                shut(q);
                fd_close(fd);
                return r;
        }
        q->fd = fd;
        q->sync = (uint32_t) (uintptr_t) q ^ (uint32_t) fd; /* not the number that the last connection began with */
        return 0;
}

void qga_set_open(Qga *q, bool open) {
        int fd, r;

        assert(q);

        if (open == (q->fd >= 0))
                return;
        if (!open) {
                lost(q, "has gone: the guest has closed its end of the channel");
                return;
        }
        fd = socket_connect_unix(q->path);
        r = fd < 0 ? fd : qga_open_fd(q, fd);
        if (r < 0)
                log_warning("%s: can't connect to the guest agent's channel %s: %s", q->label, q->path, strerror(-r));
}

bool qga_is_open(const Qga *q) {
        return q && q->fd >= 0;
}

static int new_call(Qga *q, const char *command, json_t *arguments, uint64_t timeout_usec, QgaCall **ret) {
        json_auto_t *json = json_pack("{s:s, s:O*}", "execute", command, "arguments", arguments);
        QgaCall *c = new0(QgaCall, 1);
        uint64_t now;

        if (c) {
                c->command = strdup(command);
                c->line = json ? json_dumps(json, JSON_COMPACT) : NULL;
        }
        if (!c || !c->command || !c->line || sd_event_now(q->event, CLOCK_MONOTONIC, &now) < 0) {
                if (c)
                        call_destroy(c);
                return -ENOMEM;
        }
        c->deadline = now + (timeout_usec ?: QGA_TIMEOUT_USEC);
        *ret = c;
        return 0;
}

int qga_send(Qga *q, const char *command, json_t *arguments, uint64_t timeout_usec, QgaReply reply, void *userdata, QgaCall **ret, Fault *f) {
        json_auto_t *taken = arguments;
        QgaCall *c;

        assert(q && command && reply);

        if (q->fd < 0) {
                fault_set(f, FAULT_DISCONNECTED, ENOTCONN, "no agent runs in the guest of %s", q->label);
                fault_hint(f, "install qemu-guest-agent there, and start it");
                return -ENOTCONN;
        }
        if (q->n_calls >= QGA_CALLS_MAX)
                return fault_set(f, FAULT_LIMIT, ENOBUFS, "%u calls wait for the guest agent of %s already", QGA_CALLS_MAX, q->label);
        if (new_call(q, command, taken, timeout_usec, &c) < 0)
                return fault_oom(f);
        if (strlen(c->line) > QGA_COMMAND_MAX) {
                call_destroy(c);
                return fault_set(f, FAULT_LIMIT, E2BIG, "%s would be longer than the %u bytes that are sent to guest agents", command, QGA_COMMAND_MAX);
        }
        c->q = q;
        c->reply = reply;
        c->userdata = userdata;
        c->owned = ret;
        TAILQ_INSERT_TAIL(&q->calls, c, entry);
        q->n_calls++;
        (void) sd_event_source_set_enabled(q->kick, SD_EVENT_ONESHOT);
        if (ret)
                *ret = c;
        return 0;
}
