/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

/* QEMU follows them: /proc is its own there. */
static int add_names(int folder, const LaunchPlan *plan, const char *path) {
        for (size_t i = 0; i < plan->n_fds; i++) {
                const PlanFd *fd = &plan->fds[i];
                const char *name = fd->kind == PLAN_FD_MEMFD ? str_after(fd->path, path) : NULL;
                _cleanup_free_ char *target = NULL;

                if (!name || *name != '/' || strchr(name + 1, '/'))
                        continue;
                target = strf("/proc/self/fd/%d", fd->number);
                if (!target)
                        return -ENOMEM;
                if (symlinkat(target, folder, name + 1) < 0)
                        return -errno;
        }
        return 0;
}

/* QEMU's user, whoever that is, comes by the descriptor, and nobody else into the folder above. */
static int make_folder(const char *path) {
        _cleanup_fd_ int fd = -1;

        if (mkdir(path, 0711) < 0)
                return -errno;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fchmod(fd, 0711) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int fd_folder_open(const Instance *i, const LaunchPlan *plan, const PlanFd *want, Fault *f) {
        _cleanup_free_ char *path = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        assert(i && plan && want);

        path = strf("%s/fd-%d", i->folder, want->number);
        if (!path)
                return fault_oom(f);
        fd = make_folder(path);
        r = fd < 0 ? fd : add_names(fd, plan, want->path);
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "can't make %s: %s", path, strerror(-r)) : TAKE_FD(fd);
}
