/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "helper.h"
#include "log.h"
#include "mem.h"
#include "program.h"
#include "str.h"
#include "worker-fault.h"

#define LINGER_USEC (5u * 1000 * 1000)
#define CALLS_MAX 8192u

typedef struct Call Call;
struct Call {
        json_t *request;
        int *fds;
        size_t n_fds;
        uint64_t deadline_usec;
        WorkerPart part;
        WorkerDone done;             /* NULL: it is the one that opens */
        void *userdata;
        TAILQ_ENTRY(Call) link;
};

struct Worker {
        WorkerOptions options;
        Helper *helper;
        int fd;
        sd_event_source *io, *deadline, *linger, *kick;
        TAILQ_HEAD(, Call) calls;
        unsigned n_calls;
        Call *current;               /* sent, and not yet answered */
        bool need_open, open_failed;
        unsigned telling;            /* callbacks under way */
        bool freed;                  /* by one of them */
};

/* --- lifetime --- */

static Call *call_free(Call *c) {
        if (!c)
                return NULL;
        json_decref(c->request);
        for (size_t i = 0; i < c->n_fds; i++)
                fd_close(c->fds[i]);
        free(c->fds);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Call *, call_free)

static void stop(Worker *w) {
        w->io = sd_event_source_disable_unref(w->io);
        w->deadline = sd_event_source_disable_unref(w->deadline);
        w->linger = sd_event_source_disable_unref(w->linger);
        w->helper = helper_free(w->helper);
        w->fd = fd_close(w->fd);
        w->need_open = w->options.open;
}

/* Before it is told that they have been passed on: who is told may end who has them now. */
static void close_passed(Call *c) {
        for (size_t i = 0; i < c->n_fds; i++)
                c->fds[i] = fd_close(c->fds[i]);
}

static void fail_call(Call *c, const Fault *why) {
        if (c && c->done)
                c->done(NULL, NULL, why, c->userdata);
        call_free(c);
}

/* Around everything that tells others: they may free the worker. */
static void begin_telling(Worker *w) {
        w->telling++;
}

/* Whether it is still there. */
static bool end_telling(Worker *w) {
        if (--w->telling > 0 || !w->freed)
                return !w->freed;
        free(w);
        return false;
}

/* Those that come in meanwhile are not meant. */
static void fail_all(Worker *w, const Fault *why) {
        unsigned n = w->n_calls;

        fail_call(TAKE_PTR(w->current), why);
        for (; n > 0 && w->n_calls > 0; n--) {
                Call *c = TAILQ_FIRST(&w->calls);

                TAILQ_REMOVE(&w->calls, c, link);
                w->n_calls--;
                fail_call(c, why);
        }
}

int worker_new(const WorkerOptions *options, Worker **ret) {
        Worker *w = new0(Worker, 1);

        assert(options && ret);

        if (!w)
                return -ENOMEM;
        *w = (Worker) { .options = *options, .fd = -1, .need_open = options->open };
        TAILQ_INIT(&w->calls);
        *ret = w;
        return 0;
}

Worker *worker_free(Worker *w) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!w || w->freed)
                return NULL;
        w->freed = true;
        stop(w);
        begin_telling(w);
        fault_set(&f, FAULT_CANCELED, ECANCELED, "the work on %s has ended", w->options.subject);
        fail_all(w, &f);
        w->kick = sd_event_source_disable_unref(w->kick);
        (void) end_telling(w);
        return NULL;
}

void worker_reopen(Worker *w) {
        w->need_open = w->options.open;
}

bool worker_is_busy(const Worker *w) {
        return w->current || w->n_calls > 0;
}

/* --- what it says --- */

static void proceed(Worker *w);

/* After a failure the next request finds the worker as it is, so that all who wait are told; the one after them tries anew. */
static void opened(Worker *w, const json_t *json, const Fault *why) {
        w->open_failed = why;
        if (w->options.opened)
                w->options.opened(json, why, w->options.userdata);
}

static void finish_current(Worker *w, const json_t *json, int *fds, const Fault *why) {
        Call *c = TAKE_PTR(w->current);

        w->deadline = sd_event_source_disable_unref(w->deadline);
        close_passed(c);
        begin_telling(w);
        if (!c->done)
                opened(w, why ? NULL : json, why);
        else
                c->done(why ? NULL : json, why ? NULL : fds, why, c->userdata);
        call_free(c);
        if (end_telling(w))
                proceed(w);
}

static int arm_deadline(Worker *w);

static int take_message(Worker *w, const json_t *json, int *fds) {
        const json_t *error = json_object_get(json, "error");
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!w->current || !json_is_object(json))
                return -EBADMSG;
        if (error) {
                r = worker_fault_from_json(error, &f);
                if (r >= 0)
                        finish_current(w, NULL, NULL, &f);
                return r;
        }
        if (json_is_true(json_object_get(json, "end"))) {
                finish_current(w, json, fds, NULL);
                return 0;
        }
        begin_telling(w);
        r = w->current->part ? w->current->part(json, fds, w->current->userdata) : -EBADMSG;
        if (!end_telling(w))
                return 0;
        return r < 0 ? r : arm_deadline(w); /* it gets on */
}

static void broken(Worker *w, const char *how) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, w->options.kind, WORKER_DIED, "the program that works on %s %s", w->options.subject, how);
        stop(w);
        begin_telling(w);
        if (w->current && !w->current->done)
                fail_all(w, &f); /* it does not even open the folder: do not try for each of them */
        else
                fail_call(TAKE_PTR(w->current), &f);
        if (end_telling(w))
                proceed(w);
}

static int on_message(sd_event_source *source, int socket, uint32_t events, void *userdata) {
        int fds[WORKER_FDS_MAX] = { -1, -1, -1, -1 };
        _cleanup_free_ char *data = malloc(WORKER_MESSAGE_MAX);
        size_t n_fds = ARRAY_SIZE(fds);
        json_auto_t *json = NULL;
        Worker *w = userdata;
        ssize_t n;

        n = data ? fd_receive(socket, data, WORKER_MESSAGE_MAX, fds, &n_fds) : -ENOMEM;
        if (n == -EAGAIN)
                return 0;
        if (n <= 0) {
                w->io = sd_event_source_disable_unref(w->io); /* on_exit() knows why */
                return 0;
        }
        json = json_loadb(data, (size_t) n, JSON_REJECT_DUPLICATES, NULL);
        if (take_message(w, json, fds) < 0)
                broken(w, "answered in a way that can't be read");
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                fd_close(fds[i]);
        return 0;
}

static void on_exit_of_worker(Helper *h, int si_code, int status, void *userdata) {
        _cleanup_free_ char *how = helper_describe(h, si_code, status);

        broken(userdata, how ?: "ended");
}

static uint64_t deadline_of(const Worker *w) {
        return w->current->deadline_usec ?: *w->options.deadline_usec;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Worker *w = userdata;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s did not answer within %" PRIu64 " s", w->options.subject, (deadline_of(w) + 999999) / 1000000);
        fault_hint(&f, "check whether the file server or disk behind it is down");
        log_warning("%s", fault_text(&f));
        stop(w);
        begin_telling(w);
        opened(w, NULL, &f);
        fail_all(w, &f);
        (void) end_telling(w);
        return 0;
}

static int arm_deadline(Worker *w) {
        int r;

        w->deadline = sd_event_source_disable_unref(w->deadline);
        if (!w->current || deadline_of(w) == WORKER_NO_DEADLINE)
                return 0;
        r = sd_event_add_time_relative(w->options.event, &w->deadline, CLOCK_MONOTONIC, deadline_of(w), 0, on_deadline, w);
        /* An answer that is there is read first. */
        return r < 0 ? r : sd_event_source_set_priority(w->deadline, SD_EVENT_PRIORITY_NORMAL + 1);
}

/* --- asking --- */

static int start(Worker *w) {
        _cleanup_free_ char *program = program_beside(w->options.program);
        char *argv[] = { program, NULL };
        _cleanup_fd_ int theirs = -1;
        int pair[2], r;

        if (!program)
                return -ENOMEM;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        w->fd = pair[0];
        theirs = pair[1];
        r = fd_set_nonblock(w->fd, true);
        if (r >= 0)
                r = sd_event_add_io(w->options.event, &w->io, w->fd, EPOLLIN, on_message, w);
        if (r >= 0)
                r = helper_start(w->options.event, argv, -1, theirs, on_exit_of_worker, w, &w->helper);
        if (r < 0)
                stop(w);
        return r;
}

static int send_current(Worker *w) {
        _cleanup_free_ char *text = json_dumps(w->current->request, JSON_COMPACT);
        ssize_t n;

        if (!text)
                return -ENOMEM;
        n = fd_send(w->fd, text, strlen(text), w->current->fds, w->current->n_fds);
        return n < 0 ? (int) n : arm_deadline(w);
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata) {
        stop(userdata);
        return 0;
}

/* Takes over the request, also on failure. */
static int new_call(const WorkerCall *call, Call **ret) {
        _cleanup_(call_freep) Call *c = new0(Call, 1);

        if (!call->request || !c) {
                json_decref(call->request);
                return -ENOMEM;
        }
        *c = (Call) { .request = call->request, .deadline_usec = call->deadline_usec, .part = call->part, .done = call->done, .userdata = call->userdata };
        c->fds = new0(int, call->n_fds);
        if (!c->fds)
                return -ENOMEM;
        for (size_t i = 0; i < call->n_fds; i++) {
                c->fds[i] = fd_copy(call->fds[i]);
                if (c->fds[i] < 0)
                        return c->fds[i];
                c->n_fds++;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

/* The next one to be sent: opening comes first. */
static int take_next(Worker *w, Call **ret) {
        if (w->need_open) {
                WorkerCall call = {};

                w->need_open = false;
                w->options.open(&call, w->options.userdata);
                return new_call(&call, ret);
        }
        *ret = TAILQ_FIRST(&w->calls);
        TAILQ_REMOVE(&w->calls, *ret, link);
        w->n_calls--;
        return 0;
}

static int try_proceed(Worker *w) {
        int r = w->helper ? 0 : start(w);

        if (r >= 0 && !w->current)
                r = take_next(w, &w->current);
        return r < 0 ? r : send_current(w);
}

/* It has ended while there was nothing to do, and nobody has told us yet: another one gets what this one never got. */
static int retry(Worker *w) {
        stop(w);
        if (!w->current->done)
                w->current = call_free(w->current);
        else if (w->need_open) { /* which comes first */
                TAILQ_INSERT_HEAD(&w->calls, w->current, link);
                w->n_calls++;
                w->current = NULL;
        }
        return try_proceed(w);
}

static void proceed(Worker *w) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (w->current)
                return;
        if (w->n_calls == 0) {
                if (w->helper && !w->linger)
                        (void) sd_event_add_time_relative(w->options.event, &w->linger, CLOCK_MONOTONIC, LINGER_USEC, 0, on_linger, w);
                return;
        }
        w->linger = sd_event_source_disable_unref(w->linger);
        r = try_proceed(w);
        if ((r == -EPIPE || r == -ECONNRESET) && w->current)
                r = retry(w);
        if (r >= 0)
                return;
        fault_set(&f, w->options.kind, -r, "the program that works on %s can't be asked: %s", w->options.subject, strerror(-r));
        stop(w);
        begin_telling(w);
        fail_all(w, &f);
        (void) end_telling(w);
}

static int on_kick(sd_event_source *source, void *userdata) {
        Worker *w = userdata;

        w->kick = sd_event_source_disable_unref(w->kick);
        proceed(w);
        return 0;
}

int worker_ask(Worker *w, const WorkerCall *call, Fault *f) {
        Call *c = NULL;
        int r;

        assert(w && call && call->done);

        if (w->freed) {
                json_decref(call->request);
                return fault_set(f, FAULT_CANCELED, ECANCELED, "the work on %s ends", w->options.subject);
        }
        if (w->n_calls >= CALLS_MAX) {
                json_decref(call->request);
                return fault_set(f, FAULT_LIMIT, EBUSY, "%u requests wait for %s already", w->n_calls, w->options.subject);
        }
        r = new_call(call, &c);
        if (r >= 0 && !w->kick) /* so that it never fails within this call */
                r = sd_event_add_defer(w->options.event, &w->kick, on_kick, w);
        if (r < 0) {
                call_free(c);
                return r == -ENOMEM ? fault_oom(f) : fault_set(f, w->options.kind, -r, "%s: %s", w->options.subject, strerror(-r));
        }
        w->need_open = w->options.open && (w->need_open || (w->open_failed && !worker_is_busy(w)));
        TAILQ_INSERT_TAIL(&w->calls, c, link);
        w->n_calls++;
        return 0;
}
