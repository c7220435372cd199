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
#include "worker-format.h"

#define LINGER_USEC (5u * 1000 * 1000)
#define CALLS_MAX 8192u

typedef struct Call Call;
struct Call {
        json_t *request;
        int *fds;
        size_t n_fds;
        WorkerDone done;
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
        Call *current;            /* sent, and not yet answered */
        bool need_open, open_failed;
        WorkerReply reply;        /* of the current one, as far as it has come */
};

/* --- lifetime --- */

static void found_clear(WorkerFound *f) {
        leases_free(f->leases, f->n);
        fd_close(f->anchor);
        fault_clear(&f->why);
        free(f->file);
}

static void reply_clear(WorkerReply *r) {
        for (size_t i = 0; i < r->n_found; i++)
                found_clear(&r->found[i]);
        free(r->found);
        fd_close(r->lease);
        fd_close(r->anchor);
        *r = (WorkerReply) { .lease = -1, .anchor = -1 };
}

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
        w->need_open = true;
        reply_clear(&w->reply);
}

static void end_call(Call *c, WorkerReply *reply, const Fault *why) {
        if (c->done)
                c->done(why ? NULL : reply, why, c->userdata);
        call_free(c);
}

static void fail_current(Worker *w, const Fault *why) {
        Call *c = TAKE_PTR(w->current);

        if (c)
                end_call(c, NULL, why);
}

/* Those that come in meanwhile are not meant. */
static void fail_all(Worker *w, const Fault *why) {
        for (unsigned n = w->n_calls; n > 0; n--) {
                Call *c = TAILQ_FIRST(&w->calls);

                TAILQ_REMOVE(&w->calls, c, link);
                w->n_calls--;
                end_call(c, NULL, why);
        }
}

int worker_new(const WorkerOptions *options, Worker **ret) {
        Worker *w = new0(Worker, 1);

        assert(options && ret);

        if (!w)
                return -ENOMEM;
        *w = (Worker) { .options = *options, .fd = -1, .need_open = true, .reply = { .lease = -1, .anchor = -1 } };
        TAILQ_INIT(&w->calls);
        *ret = w;
        return 0;
}

Worker *worker_free(Worker *w) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!w)
                return NULL;
        stop(w);
        fault_set(&f, FAULT_CANCELED, ECANCELED, "virtlockd ends");
        fail_current(w, &f);
        fail_all(w, &f);
        sd_event_source_disable_unref(w->kick);
        free(w);
        return NULL;
}

void worker_reopen(Worker *w) {
        w->need_open = true;
}

bool worker_is_busy(const Worker *w) {
        return w->current || w->n_calls > 0;
}

/* --- what it says --- */

static void proceed(Worker *w);

static int read_fault(const json_t *json, Fault *f) {
        FaultKind kind = fault_kind_from_string(json_string_value(json_object_get(json, "kind")));
        json_int_t error = json_integer_value(json_object_get(json, "errno"));
        const char *message = json_string_value(json_object_get(json, "message"));
        const char *hint = json_string_value(json_object_get(json, "hint"));

        if (kind <= FAULT_NONE || error <= 0 || error > 4095 || !message)
                return -EBADMSG;
        fault_set(f, kind, (int) error, "%s", message);
        if (hint)
                fault_hint(f, "%s", hint);
        return 0;
}

static int add_found(WorkerReply *r, const char *file, WorkerFound **ret) {
        WorkerFound *last = r->n_found > 0 ? &r->found[r->n_found - 1] : NULL, *grown;

        if (last && streq(last->file, file)) {
                *ret = last;
                return 0;
        }
        grown = reallocarray(r->found, r->n_found + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        r->found = grown;
        grown[r->n_found] = (WorkerFound) { .file = strdup(file), .anchor = -1 };
        if (!grown[r->n_found].file)
                return -ENOMEM;
        *ret = &grown[r->n_found++];
        return 0;
}

static int read_owners(WorkerFound *found, json_t *owners) {
        size_t n = json_array_size(owners);
        Lease *grown = reallocarray(found->leases, found->n + n + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        found->leases = grown;
        for (size_t i = 0; i < n; i++) {
                int r = lease_from_json(json_array_get(owners, i), &grown[found->n]);

                if (r < 0)
                        return r;
                found->n++;
        }
        return 0;
}

static int take_found(Worker *w, json_t *json, int *fd) {
        const char *file = json_string_value(json_object_get(json, "file"));
        const json_t *error = json_object_get(json, "error");
        WorkerFound *found;
        int r;

        r = file ? add_found(&w->reply, file, &found) : -EBADMSG;
        if (r < 0)
                return r;
        if (error)
                return read_fault(error, &found->why);
        found->misplaced = json_is_true(json_object_get(json, "misplaced"));
        if (*fd >= 0) {
                fd_close(found->anchor);
                found->anchor = TAKE_FD(*fd);
        }
        return read_owners(found, json_object_get(json, "owners"));
}

static void finish_current(Worker *w, const Fault *why) {
        WorkerReply reply = TAKE(w->reply, ((WorkerReply) { .lease = -1, .anchor = -1 }));
        Call *c = TAKE_PTR(w->current);

        w->deadline = sd_event_source_disable_unref(w->deadline);
        end_call(c, &reply, why);
        reply_clear(&reply);
        proceed(w);
}

/* After a failure the next request finds the worker as it is, so that all who wait are told; the one after them tries anew. */
static void opened(Worker *w, bool remote, const Fault *why) {
        w->open_failed = why;
        w->options.opened(remote, why, w->options.userdata);
}

static int take_message(Worker *w, json_t *json, int fds[2]) {
        const json_t *error = json_object_get(json, "error");
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!w->current || !json)
                return -EBADMSG;
        if (json_object_get(json, "file"))
                return take_found(w, json, &fds[0]);
        if (error) {
                r = read_fault(error, &f);
                if (r >= 0 && !w->current->done)
                        opened(w, false, &f);
                else if (f.error == ENOENT || f.error == ESTALE)
                        w->need_open = true; /* the folder may be another one now */
                if (r >= 0)
                        finish_current(w, &f);
                return r;
        }
        w->reply.held = json_is_true(json_object_get(json, "held"));
        if (!w->reply.held && !json_is_true(json_object_get(json, "end")))
                return -EBADMSG;
        w->reply.lease = TAKE_FD(fds[0]);
        w->reply.anchor = TAKE_FD(fds[1]);
        if (!w->current->done) /* "open" is ours */
                opened(w, json_is_true(json_object_get(json, "remote")), NULL);
        finish_current(w, NULL);
        return 0;
}

static void broken(Worker *w, const char *how) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_LOCKSPACE, EIO, "the program that works on %s %s", w->options.path, how);
        stop(w);
        if (w->current && !w->current->done)
                fail_all(w, &f); /* it does not even open the folder: do not try for each of them */
        fail_current(w, &f);
        proceed(w);
}

static int on_message(sd_event_source *source, int socket, uint32_t events, void *userdata) {
        _cleanup_free_ char *data = malloc(WORKER_MESSAGE_MAX);
        json_auto_t *json = NULL;
        int fds[2] = { -1, -1 };
        size_t n_fds = 2;
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
        fd_close(fds[0]);
        fd_close(fds[1]);
        return 0;
}

static void on_exit_of_worker(Helper *h, int si_code, int status, void *userdata) {
        _cleanup_free_ char *how = helper_describe(h, si_code, status);

        broken(userdata, how ?: "ended");
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Worker *w = userdata;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s did not answer within %" PRIu64 " s", w->options.path,
                  (*w->options.deadline_usec + 999999) / 1000000);
        fault_hint(&f, "check whether the file server or disk behind it is down");
        log_warning("%s", fault_text(&f));
        stop(w);
        opened(w, false, &f);
        fail_current(w, &f);
        fail_all(w, &f);
        return 0;
}

/* --- asking --- */

static int start(Worker *w) {
        _cleanup_free_ char *program = program_beside("virtlock-worker");
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

static int send_call(Worker *w, Call *c) {
        _cleanup_free_ char *text = json_dumps(c->request, JSON_COMPACT);
        ssize_t n;
        int r;

        if (!text)
                return -ENOMEM;
        n = fd_send(w->fd, text, strlen(text), c->fds, c->n_fds);
        if (n < 0)
                return (int) n;
        r = sd_event_add_time_relative(w->options.event, &w->deadline, CLOCK_MONOTONIC, *w->options.deadline_usec, 0, on_deadline, w);
        /* An answer that is there is read first. */
        return r < 0 ? r : sd_event_source_set_priority(w->deadline, SD_EVENT_PRIORITY_NORMAL + 1);
}

static int on_linger(sd_event_source *source, uint64_t usec, void *userdata) {
        stop(userdata);
        return 0;
}

static int new_call(json_t *request, const int *fds, size_t n_fds, Call **ret) {
        _cleanup_(call_freep) Call *c = new0(Call, 1);

        if (!request || !c) {
                json_decref(request);
                return -ENOMEM;
        }
        c->request = request;
        c->fds = new0(int, n_fds);
        if (!c->fds)
                return -ENOMEM;
        for (size_t i = 0; i < n_fds; i++) {
                c->fds[i] = fd_copy(fds[i]);
                if (c->fds[i] < 0)
                        return c->fds[i];
                c->n_fds++;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

/* The next one to be sent: opening the folder comes first. */
static int take_next(Worker *w, Call **ret) {
        if (w->need_open) {
                w->need_open = false;
                return new_call(json_pack("{s:s, s:s, s:b}", "do", "open", "path", w->options.path, "make", (int) w->options.make),
                                &w->options.inotify, 1, ret);
        }
        *ret = TAILQ_FIRST(&w->calls);
        TAILQ_REMOVE(&w->calls, *ret, link);
        w->n_calls--;
        return 0;
}

static int try_proceed(Worker *w) {
        int r = w->helper ? 0 : start(w);

        if (r >= 0)
                r = take_next(w, &w->current);
        return r < 0 ? r : send_call(w, w->current);
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
        if (r >= 0)
                return;
        fault_set(&f, FAULT_LOCKSPACE, -r, "the program that works on %s can't be asked: %s", w->options.path, strerror(-r));
        stop(w);
        fail_current(w, &f);
        fail_all(w, &f);
}

static int on_kick(sd_event_source *source, void *userdata) {
        Worker *w = userdata;

        w->kick = sd_event_source_disable_unref(w->kick);
        proceed(w);
        return 0;
}

static int ask(Worker *w, json_t *request, const int *fds, size_t n_fds, WorkerDone done, void *userdata, Fault *f) {
        Call *c = NULL;
        int r;

        assert(w && done);

        if (w->n_calls >= CALLS_MAX) {
                json_decref(request);
                return fault_set(f, FAULT_LIMIT, EBUSY, "%u requests wait for %s already", w->n_calls, w->options.path);
        }
        r = new_call(request, fds, n_fds, &c);
        if (r >= 0 && !w->kick) /* so that it never fails within this call */
                r = sd_event_add_defer(w->options.event, &w->kick, on_kick, w);
        if (r < 0) {
                call_free(c);
                return r == -ENOMEM ? fault_oom(f) : fault_set(f, FAULT_LOCKSPACE, -r, "%s: %s", w->options.path, strerror(-r));
        }
        c->done = done;
        c->userdata = userdata;
        w->need_open = w->need_open || (w->open_failed && !worker_is_busy(w));
        TAILQ_INSERT_TAIL(&w->calls, c, link);
        w->n_calls++;
        return 0;
}

int worker_acquire(Worker *w, const char *file, const Lease *lease, int anchor, WorkerDone done, void *userdata, Fault *f) {
        json_t *q = json_pack("{s:s, s:s, s:o}", "do", "acquire", "file", file, "lease", lease_to_json(lease));

        return ask(w, q, &anchor, anchor >= 0 ? 1 : 0, done, userdata, f);
}

int worker_transfer(Worker *w, const char *file, const Lease *lease, int fd, WorkerDone done, void *userdata, Fault *f) {
        json_t *q = json_pack("{s:s, s:s, s:o}", "do", "transfer", "file", file, "lease", lease_to_json(lease));

        return ask(w, q, &fd, 1, done, userdata, f);
}

int worker_look(Worker *w, const char *const *files, const int *anchors, size_t n, WorkerDone done, void *userdata, Fault *f) {
        json_t *list = json_array();

        assert(n <= WORKER_FILES_MAX);

        for (size_t i = 0; i < n; i++)
                (void) json_array_append_new(list, json_string(files[i]));
        return ask(w, json_pack("{s:s, s:o}", "do", "look", "files", list), anchors, n, done, userdata, f);
}

int worker_list(Worker *w, WorkerDone done, void *userdata, Fault *f) {
        return ask(w, json_pack("{s:s}", "do", "list"), NULL, 0, done, userdata, f);
}
