/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker-serve.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "mem.h"
#include "str.h"
#include "worker-fault.h"

int worker_say(json_t *json, const int *fds, size_t n_fds) {
        json_auto_t *taken = json;
        _cleanup_free_ char *text = taken ? json_dumps(taken, JSON_COMPACT) : NULL;
        ssize_t n;

        if (!text)
                return -ENOMEM;
        n = fd_send(WORKER_SOCKET_FD, text, strlen(text), fds, n_fds);
        return n < 0 ? (int) n : 0;
}

int worker_end(json_t *json, const int *fds, size_t n_fds) {
        json_t *last = json ?: json_object();

        if (last)
                (void) json_object_set_new(last, "end", json_true());
        return worker_say(last, fds, n_fds);
}

static int serve(const WorkerVerb *verbs, size_t n, FaultKind otherwise, WorkerRequest *q) {
        const char *word = json_string_value(json_object_get(q->json, "do"));
        _cleanup_fault_ Fault f = FAULT_INIT;

        for (size_t i = 0; i < n; i++)
                if (streq_null(word, verbs[i].name)) {
                        int r = verbs[i].serve(q, &f);

                        if (r == -EPIPE && !fault_is_set(&f))
                                return r;
                        return r < 0 ? worker_say(json_pack("{s:o}", "error", worker_fault_to_json(&f, otherwise, r)), NULL, 0) : 0;
                }
        return -EBADMSG;
}

/* 0: nobody asks any more. */
static int serve_next(const WorkerVerb *verbs, size_t n_verbs, FaultKind otherwise, char *buffer) {
        WorkerRequest q = { .n_fds = ARRAY_SIZE(q.fds) };
        ssize_t n;
        int r;

        n = fd_receive(WORKER_SOCKET_FD, buffer, WORKER_MESSAGE_MAX, q.fds, &q.n_fds);
        if (n <= 0)
                return (int) n;
        q.json = json_loadb(buffer, (size_t) n, JSON_REJECT_DUPLICATES, NULL);
        r = serve(verbs, n_verbs, otherwise, &q);
        json_decref(q.json);
        for (size_t i = 0; i < q.n_fds; i++)
                fd_close(q.fds[i]);
        return r < 0 ? r : 1;
}

int worker_serve(const WorkerVerb *verbs, size_t n, FaultKind otherwise, const char *daemon, int argc, char *argv[]) {
        _cleanup_free_ char *buffer = malloc(WORKER_MESSAGE_MAX);
        struct stat st;
        int r;

        if (argc > 1 || fstat(WORKER_SOCKET_FD, &st) < 0 || !S_ISSOCK(st.st_mode)) {
                fprintf(stderr, "%s is started by %s, with a socket as descriptor %d\n", argv[0], daemon, WORKER_SOCKET_FD);
                return argc > 1 && streq(argv[1], "--help") ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        umask(077);
        do
                r = buffer ? serve_next(verbs, n, otherwise, buffer) : -ENOMEM;
        while (r > 0);
        if (r < 0 && r != -EPIPE)
                fprintf(stderr, "%s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
