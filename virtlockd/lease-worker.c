/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lease-worker.h"

#include <string.h>

#include "fd.h"
#include "mem.h"
#include "str.h"
#include "worker-fault.h"

struct LeaseWorker {
        LeaseWorkerOptions options;
        Worker *worker;
};

/* A request under way, and its answer as far as it has come. */
typedef struct LeaseCall {
        LeaseWorker *worker;
        LeaseReply reply;
        LeaseAnswered done;
        void *userdata;
} LeaseCall;

/* --- what it says --- */

static void found_clear(LeaseFound *f) {
        leases_free(f->leases, f->n);
        fd_close(f->anchor);
        fault_clear(&f->why);
        free(f->file);
}

static void reply_clear(LeaseReply *r) {
        for (size_t i = 0; i < r->n_found; i++)
                found_clear(&r->found[i]);
        free(r->found);
        fd_close(r->lease);
        fd_close(r->anchor);
}

static int add_found(LeaseReply *r, const char *file, LeaseFound **ret) {
        LeaseFound *last = r->n_found > 0 ? &r->found[r->n_found - 1] : NULL, *grown;

        if (last && streq(last->file, file)) {
                *ret = last;
                return 0;
        }
        grown = reallocarray(r->found, r->n_found + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        r->found = grown;
        grown[r->n_found] = (LeaseFound) { .file = strdup(file), .anchor = -1 };
        if (!grown[r->n_found].file)
                return -ENOMEM;
        *ret = &grown[r->n_found++];
        return 0;
}

static int read_owners(LeaseFound *found, const json_t *owners) {
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

static int on_found(const json_t *json, int fds[WORKER_FDS_MAX], void *userdata) {
        const char *file = json_string_value(json_object_get(json, "file"));
        const json_t *why = json_object_get(json, "why");
        LeaseCall *c = userdata;
        LeaseFound *found;
        int r;

        r = file ? add_found(&c->reply, file, &found) : -EBADMSG;
        if (r < 0)
                return r;
        if (why)
                return worker_fault_from_json(why, &found->why);
        found->misplaced = json_is_true(json_object_get(json, "misplaced"));
        if (fds[0] >= 0) {
                fd_close(found->anchor);
                found->anchor = TAKE_FD(fds[0]);
        }
        return read_owners(found, json_object_get(json, "owners"));
}

static void on_done(const json_t *json, int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        LeaseCall *c = userdata;

        if (why && (why->error == ENOENT || why->error == ESTALE))
                worker_reopen(c->worker->worker); /* the folder may be another one now */
        if (!why) {
                c->reply.held = json_is_true(json_object_get(json, "held"));
                c->reply.lease = TAKE_FD(fds[0]);
                c->reply.anchor = TAKE_FD(fds[1]);
        }
        c->done(why ? NULL : &c->reply, why, c->userdata);
        reply_clear(&c->reply);
        free(c);
}

/* --- lifetime --- */

static void open_folder(WorkerCall *ret, void *userdata) {
        LeaseWorker *w = userdata;

        ret->request = json_pack("{s:s, s:s, s:b}", "do", "open", "path", w->options.path, "make", (int) w->options.make);
        ret->fds = &w->options.inotify;
        ret->n_fds = 1;
}

static void on_opened(const json_t *json, const Fault *why, void *userdata) {
        LeaseWorker *w = userdata;

        w->options.opened(json_is_true(json_object_get(json, "remote")), why, w->options.userdata);
}

int lease_worker_new(const LeaseWorkerOptions *options, LeaseWorker **ret) {
        _cleanup_(lease_worker_freep) LeaseWorker *w = new0(LeaseWorker, 1);
        int r;

        assert(options && ret);

        if (!w)
                return -ENOMEM;
        w->options = *options;

        const WorkerOptions o = {
                .event = options->event, .program = "virtlock-worker", .subject = options->path, .kind = FAULT_LOCKSPACE,
                .deadline_usec = options->deadline_usec, .open = open_folder, .opened = on_opened, .userdata = w,
        };
        r = worker_new(&o, &w->worker);
        if (r >= 0)
                *ret = TAKE_PTR(w);
        return r;
}

LeaseWorker *lease_worker_free(LeaseWorker *w) {
        if (!w)
                return NULL;
        worker_free(w->worker);
        free(w);
        return NULL;
}

void lease_worker_reopen(LeaseWorker *w) {
        worker_reopen(w->worker);
}

bool lease_worker_is_busy(const LeaseWorker *w) {
        return worker_is_busy(w->worker);
}

/* --- asking --- */

static int ask(LeaseWorker *w, json_t *request, const int *fds, size_t n_fds, LeaseAnswered done, void *userdata, Fault *f) {
        LeaseCall *c = new0(LeaseCall, 1);
        int r;

        assert(w && done);

        if (!c) {
                json_decref(request);
                return fault_oom(f);
        }
        *c = (LeaseCall) { .worker = w, .reply = { .lease = -1, .anchor = -1 }, .done = done, .userdata = userdata };

        const WorkerCall call = { .request = request, .fds = fds, .n_fds = n_fds, .part = on_found, .done = on_done, .userdata = c };
        r = worker_ask(w->worker, &call, f);
        if (r < 0)
                free(c);
        return r;
}

int lease_worker_acquire(LeaseWorker *w, const char *file, const Lease *lease, int anchor, LeaseAnswered done, void *userdata, Fault *f) {
        json_t *q = json_pack("{s:s, s:s, s:o}", "do", "acquire", "file", file, "lease", lease_to_json(lease));

        return ask(w, q, &anchor, anchor >= 0 ? 1 : 0, done, userdata, f);
}

int lease_worker_transfer(LeaseWorker *w, const char *file, const Lease *lease, int fd, LeaseAnswered done, void *userdata, Fault *f) {
        json_t *q = json_pack("{s:s, s:s, s:o}", "do", "transfer", "file", file, "lease", lease_to_json(lease));

        return ask(w, q, &fd, 1, done, userdata, f);
}

int lease_worker_look(LeaseWorker *w, const char *const *files, const int *anchors, size_t n, LeaseAnswered done, void *userdata, Fault *f) {
        json_t *list = json_array();

        assert(n <= LEASE_WORKER_FILES_MAX);

        for (size_t i = 0; i < n; i++)
                (void) json_array_append_new(list, json_string(files[i]));
        return ask(w, json_pack("{s:s, s:o}", "do", "look", "files", list), anchors, n, done, userdata, f);
}

int lease_worker_list(LeaseWorker *w, LeaseAnswered done, void *userdata, Fault *f) {
        return ask(w, json_pack("{s:s}", "do", "list"), NULL, 0, done, userdata, f);
}
