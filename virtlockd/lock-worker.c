/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtlock-worker: does what virtlockd must not wait for, the work on a lockspace's files, which may be on a server that does not
 * answer. worker-format.h says how it is asked. */

#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "lockfile.h"
#include "mem.h"
#include "str.h"
#include "worker-format.h"

typedef struct Request {
        json_t *json;
        int fds[FDS_PER_MESSAGE];
        size_t n_fds;
} Request;

static LockFolder folder = { .fd = -ENOENT };

/* --- answers --- */

static int send_json(json_t *json, const int *fds, size_t n_fds) {
        json_auto_t *taken = json;
        _cleanup_free_ char *text = taken ? json_dumps(taken, JSON_COMPACT) : NULL;
        ssize_t n;

        if (!text)
                return -ENOMEM;
        n = fd_send(WORKER_SOCKET_FD, text, strlen(text), fds, n_fds);
        return n < 0 ? (int) n : 0;
}

static json_t *fault_to_json(const Fault *f, int error) {
        return json_pack("{s:s, s:i, s:s, s:s*}", "kind", fault_kind_to_string(fault_is_set(f) ? f->kind : FAULT_LOCKSPACE), "errno",
                         fault_is_set(f) ? f->error : -error, "message", fault_is_set(f) ? fault_text(f) : strerror(-error), "hint", f->hint);
}

static int send_owners(const char *file, int anchor, const Owners *o) {
        size_t sent = 0;
        int r;

        do {
                json_t *list = json_array();

                for (size_t n = 0; n < WORKER_OWNERS_MAX && sent < o->n; n++)
                        (void) json_array_append_new(list, lease_to_json(&o->leases[sent++]));
                r = send_json(json_pack("{s:s, s:o, s:b}", "file", file, "owners", list, "misplaced", (int) o->misplaced), &anchor,
                              anchor >= 0 ? 1 : 0);
                anchor = -1;
        } while (r >= 0 && sent < o->n);
        return r;
}

static int send_found(const char *file, int anchor, const Owners *owners, const Fault *why, _unused_ void *userdata) {
        return why ? send_json(json_pack("{s:s, s:o}", "file", file, "error", fault_to_json(why, -EIO)), NULL, 0)
                   : send_owners(file, anchor, owners);
}

static int send_end(const int *fds, size_t n_fds) {
        return send_json(json_pack("{s:b, s:b}", "end", 1, "remote", (int) lock_folder_is_remote(&folder)), fds, n_fds);
}

/* What ends a request that did not go well; -EBUSY: somebody has it. */
static int send_failure(const char *file, const Owners *o, int error, const Fault *f) {
        int r;

        if (error != -EBUSY || fault_is_set(f))
                return send_json(json_pack("{s:o}", "error", fault_to_json(f, error)), NULL, 0);
        r = send_owners(file, -1, o);
        return r < 0 ? r : send_json(json_pack("{s:b}", "held", 1), NULL, 0);
}

/* --- requests --- */

#define WATCHED (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static int watch_folder(int inotify, Fault *f) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", folder.fd);
        if (inotify_add_watch(inotify, path, WATCHED) >= 0)
                return 0;
        fault_set(f, FAULT_LOCKSPACE, errno, "%s can't be watched: %s", folder.path, strerror(errno));
        if (errno == ENOSPC)
                fault_hint(f, "raise fs.inotify.max_user_watches");
        return -errno;
}

static int serve_open(const Request *q) {
        const char *path = json_string_value(json_object_get(q->json, "path"));
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        lock_folder_close(&folder);
        r = path && q->n_fds == 1 ? lock_folder_open(path, json_is_true(json_object_get(q->json, "make")), &folder) : -EBADMSG;
        if (r >= 0)
                r = lock_folder_check(&folder, &f);
        if (r >= 0)
                r = watch_folder(q->fds[0], &f);
        return r < 0 ? send_failure("", NULL, r, &f) : send_end(NULL, 0);
}

static int read_lease(const Request *q, const char **ret_file, Lease *ret) {
        *ret_file = json_string_value(json_object_get(q->json, "file"));
        return *ret_file ? lease_from_json(json_object_get(q->json, "lease"), ret) : -EBADMSG;
}

static int serve_acquire(const Request *q) {
        _cleanup_fd_ int lease_fd = -1, anchor = -1;
        _cleanup_owners_ Owners owners = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_lease_ Lease lease = {};
        const char *file;
        int r;

        r = read_lease(q, &file, &lease);
        if (r >= 0)
                r = lockfile_acquire(&folder, file, &lease, q->n_fds > 0 ? q->fds[0] : -1, &lease_fd, &anchor, &owners, &f);
        return r < 0 ? send_failure(file, &owners, r, &f) : send_end((int[]) { lease_fd, anchor }, 2);
}

static int serve_transfer(const Request *q) {
        _cleanup_owners_ Owners owners = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_lease_ Lease lease = {};
        const char *file;
        int r;

        r = read_lease(q, &file, &lease);
        if (r >= 0)
                r = q->n_fds == 1 ? lockfile_transfer(&folder, file, &lease, q->fds[0], &owners, &f) : -EBADMSG;
        return r < 0 ? send_failure(file, &owners, r, &f) : send_end(NULL, 0);
}

static int serve_look(const Request *q) {
        const json_t *files = json_object_get(q->json, "files"), *item;
        size_t i;
        int r = 0;

        json_array_foreach(files, i, item) {
                _cleanup_owners_ Owners owners = {};
                _cleanup_fault_ Fault f = FAULT_INIT;
                const char *file = json_string_value(item);

                if (!file || i >= q->n_fds)
                        return -EBADMSG;
                r = lockfile_look(&folder, file, q->fds[i], &owners, &f);
                r = send_found(file, -1, &owners, r < 0 ? &f : NULL, NULL);
                if (r < 0)
                        return r;
        }
        return send_end(NULL, 0);
}

static int serve_list(_unused_ const Request *q) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        r = lockfile_list(&folder, send_found, NULL, &f);
        return r < 0 ? send_failure("", NULL, r, &f) : send_end(NULL, 0);
}

static const struct {
        const char *name;
        int (*serve)(const Request *q);
} verbs[] = {
        { "open", serve_open }, { "acquire", serve_acquire }, { "transfer", serve_transfer }, { "look", serve_look }, { "list", serve_list },
};

static int serve(const Request *q) {
        const char *word = json_string_value(json_object_get(q->json, "do"));

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (streq_null(word, verbs[i].name))
                        return verbs[i].serve(q);
        return -EBADMSG;
}

/* 0: nobody asks any more. */
static int serve_next(char *buffer) {
        Request q = { .n_fds = ARRAY_SIZE(q.fds) };
        ssize_t n;
        int r;

        n = fd_receive(WORKER_SOCKET_FD, buffer, WORKER_MESSAGE_MAX, q.fds, &q.n_fds);
        if (n <= 0)
                return (int) n;
        q.json = json_loadb(buffer, (size_t) n, JSON_REJECT_DUPLICATES, NULL);
        r = serve(&q);
        json_decref(q.json);
        for (size_t i = 0; i < q.n_fds; i++)
                fd_close(q.fds[i]);
        return r < 0 ? r : 1;
}

int main(int argc, char *argv[]) {
        _cleanup_free_ char *buffer = malloc(WORKER_MESSAGE_MAX);
        struct stat st;
        int r;

        if (argc > 1 || fstat(WORKER_SOCKET_FD, &st) < 0 || !S_ISSOCK(st.st_mode)) {
                fprintf(stderr, "%s is started by virtlockd, with a socket as descriptor %d\n", argv[0], WORKER_SOCKET_FD);
                return argc > 1 && streq(argv[1], "--help") ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        umask(077);
        do
                r = buffer ? serve_next(buffer) : -ENOMEM;
        while (r > 0);
        if (r < 0)
                fprintf(stderr, "%s\n", strerror(-r));
        lock_folder_close(&folder);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
