/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtlock-worker: does what virtlockd must not wait for, the work on a lockspace's files, which may be on a server that does not
 * answer. lease-worker.h says how it is asked. */

#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "lockfile.h"
#include "mem.h"
#include "str.h"
#include "lease-worker.h"
#include "worker-fault.h"
#include "worker-serve.h"

static LockFolder folder = { .fd = -ENOENT };

/* --- answers --- */

static int send_owners(const char *file, int anchor, const Owners *o) {
        size_t sent = 0;
        int r;

        do {
                json_t *list = json_array();

                for (size_t n = 0; n < LEASE_WORKER_OWNERS_MAX && sent < o->n; n++)
                        (void) json_array_append_new(list, lease_to_json(&o->leases[sent++]));
                r = worker_say(json_pack("{s:s, s:o, s:b}", "file", file, "owners", list, "misplaced", (int) o->misplaced), &anchor,
                              anchor >= 0 ? 1 : 0);
                anchor = -1;
        } while (r >= 0 && sent < o->n);
        return r;
}

static int send_found(const char *file, int anchor, const Owners *owners, const Fault *why, _unused_ void *userdata) {
        return why ? worker_say(json_pack("{s:s, s:o}", "file", file, "why", worker_fault_to_json(why, FAULT_LOCKSPACE, -EIO)), NULL, 0)
                   : send_owners(file, anchor, owners);
}

static int send_end(const int *fds, size_t n_fds) {
        return worker_end(json_pack("{s:b}", "remote", (int) lock_folder_is_remote(&folder)), fds, n_fds);
}

/* -EBUSY without more words: somebody has it. */
static int send_failure(const char *file, const Owners *o, int error, const Fault *f) {
        int r;

        if (error != -EBUSY || fault_is_set(f))
                return error;
        r = send_owners(file, -1, o);
        return r < 0 ? r : worker_end(json_pack("{s:b}", "held", 1), NULL, 0);
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

static int serve_open(WorkerRequest *q, Fault *f) {
        const char *path = json_string_value(json_object_get(q->json, "path"));
        int r;

        lock_folder_close(&folder);
        r = path && q->n_fds == 1 ? lock_folder_open(path, json_is_true(json_object_get(q->json, "make")), &folder) : -EBADMSG;
        if (r >= 0)
                r = lock_folder_check(&folder, f);
        if (r >= 0)
                r = watch_folder(q->fds[0], f);
        return r < 0 ? r : send_end(NULL, 0);
}

static int read_lease(const WorkerRequest *q, const char **ret_file, Lease *ret) {
        *ret_file = json_string_value(json_object_get(q->json, "file"));
        return *ret_file ? lease_from_json(json_object_get(q->json, "lease"), ret) : -EBADMSG;
}

static int serve_acquire(WorkerRequest *q, Fault *f) {
        _cleanup_fd_ int lease_fd = -1, anchor = -1;
        _cleanup_owners_ Owners owners = {};
        _cleanup_lease_ Lease lease = {};
        const char *file;
        int r;

        r = read_lease(q, &file, &lease);
        if (r >= 0)
                r = lockfile_acquire(&folder, file, &lease, q->n_fds > 0 ? q->fds[0] : -1, &lease_fd, &anchor, &owners, f);
        return r < 0 ? send_failure(file, &owners, r, f) : send_end((int[]) { lease_fd, anchor }, 2);
}

static int serve_transfer(WorkerRequest *q, Fault *f) {
        _cleanup_owners_ Owners owners = {};
        _cleanup_lease_ Lease lease = {};
        const char *file;
        int r;

        r = read_lease(q, &file, &lease);
        if (r >= 0)
                r = q->n_fds == 1 ? lockfile_transfer(&folder, file, &lease, q->fds[0], &owners, f) : -EBADMSG;
        return r < 0 ? send_failure(file, &owners, r, f) : send_end(NULL, 0);
}

static int serve_look(WorkerRequest *q, Fault *f) {
        const json_t *files = json_object_get(q->json, "files"), *item;
        size_t i;
        int r = 0;

        json_array_foreach(files, i, item) {
                _cleanup_owners_ Owners owners = {};
                _cleanup_fault_ Fault why = FAULT_INIT;
                const char *file = json_string_value(item);

                if (!file || i >= q->n_fds)
                        return -EBADMSG;
                r = lockfile_look(&folder, file, q->fds[i], &owners, &why);
                r = send_found(file, -1, &owners, r < 0 ? &why : NULL, NULL);
                if (r < 0)
                        return r;
        }
        return send_end(NULL, 0);
}

static int serve_list(_unused_ WorkerRequest *q, Fault *f) {
        int r;

        r = lockfile_list(&folder, send_found, NULL, f);
        return r < 0 ? r : send_end(NULL, 0);
}

int main(int argc, char *argv[]) {
        static const WorkerVerb verbs[] = {
                { "open", serve_open }, { "acquire", serve_acquire }, { "transfer", serve_transfer }, { "look", serve_look }, { "list", serve_list },
        };
        int r = worker_serve(verbs, ARRAY_SIZE(verbs), FAULT_LOCKSPACE, "virtlockd", argc, argv);

        lock_folder_close(&folder);
        return r;
}
