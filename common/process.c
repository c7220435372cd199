/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "fd.h"
#include "file.h"
#include "str.h"

/* Field 22 of /proc/PID/stat; counted from the last ')' because the command name may hold anything. */
static int read_start_time(pid_t pid, uint64_t *ret) {
        char path[64];
        _cleanup_free_ char *text = NULL;
        char *p;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        r = file_read(path, 4096, &text, NULL);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;

        p = strrchr(text, ')');
        for (int i = 0; p && i < 20; i++)
                p = strchr(p + 1, ' ');
        if (!p)
                return -EUCLEAN;
        *strchrnul(p + 1, ' ') = '\0';
        return parse_u64(p + 1, 10, ret);
}

int process_open(pid_t pid, uint64_t start_time, Process *ret) {
        _cleanup_fd_ int pidfd = -1;
        uint64_t started;
        Process p;
        int r;

        assert(ret);

        if (pid <= 1)
                return -ESRCH;
        pidfd = pidfd_open(pid, 0);
        if (pidfd < 0)
                return -errno;
        r = read_start_time(pid, &started);
        if (r < 0)
                return r;
        if (start_time != 0 && started != start_time)
                return -ESRCH;

        p = (Process) { .pid = pid, .pidfd = pidfd, .start_time = started };
        if (!process_is_alive(&p)) /* a zombie still has its number */
                return -ESRCH;
        *ret = p;
        TAKE_FD(pidfd);
        return 0;
}

void process_close(Process *p) {
        assert(p);

        fd_close(p->pidfd);
        *p = PROCESS_INIT;
}

int process_user(const Process *p, uid_t *ret_user, gid_t *ret_group) {
        char path[64];
        _cleanup_free_ char *text = NULL;
        const char *users, *groups;
        unsigned user, group;
        int r;

        assert(p && ret_user && ret_group);

        (void) snprintf(path, sizeof(path), "/proc/%d/status", p->pid);
        r = file_read(path, 16384, &text, NULL);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        users = strstr(text, "\nUid:");
        groups = strstr(text, "\nGid:");
        if (!users || !groups || sscanf(users, "\nUid: %*u %u", &user) != 1 || sscanf(groups, "\nGid: %*u %u", &group) != 1)
                return -EUCLEAN;
        *ret_user = user;
        *ret_group = group;
        return process_is_alive(p) ? 0 : -ESRCH;
}

int process_signal(const Process *p, int sig) {
        assert(p);

        if (p->pidfd < 0)
                return 0;
        if (pidfd_send_signal(p->pidfd, sig, NULL, 0) < 0)
                return errno == ESRCH ? 0 : -errno;
        return 0;
}

bool process_is_alive(const Process *p) {
        struct pollfd pollfd = { .fd = p->pidfd, .events = POLLIN };

        return p->pidfd >= 0 && poll(&pollfd, 1, 0) == 0;
}

int process_only_child(const Process *parent, pid_t *ret) {
        char path[64];
        _cleanup_free_ char *text = NULL;
        char *end;
        uint32_t pid;
        int r;

        assert(parent && ret);

        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent->pid, parent->pid);
        r = file_read(path, 4096, &text, NULL);
        if (r < 0)
                return r;
        end = strchrnul(text, ' ');
        if (end == text)
                return -ENOENT;
        if (end[0] && end[1])
                return -EUCLEAN;
        *end = '\0';
        r = parse_u32(text, &pid);
        if (r < 0)
                return r;
        *ret = (pid_t) pid;
        return 0;
}
