/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

/* `machinectl kill` and `systemctl kill` send a signal to every process of the unit. What it asks for is ours to do, with the guest's
 * help; QEMU would end at once. It leaves blocked what it finds blocked. */
static void set_signals_of_qemu(void) {
        const int ours[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGRTMIN + 3, SIGRTMIN + 4, SIGRTMIN + 5, SIGRTMIN + 6 };
        sigset_t mask;

        (void) sigemptyset(&mask);
        for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
                (void) sigaddset(&mask, ours[i]);
        (void) sigprocmask(SIG_SETMASK, &mask, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
}

static _noreturn_ void run_qemu(const Watch *w, pid_t parent, int output) {
        set_signals_of_qemu();
        /* Without us nobody could power it down in an orderly way. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(127);
        if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
                _exit(127);
        if (w->makes_files)
                (void) umask(0);
        (void) execv(w->argv[0], w->argv);
        fprintf(stderr, "can't execute %s: %s\n", w->argv[0], strerror(errno));
        _exit(127);
}

/* What QEMU gives up is given up then: our own are those that no program inherits. */
static void leave_to_qemu(const Watch *w) {
        for (int fd = STDERR_FILENO + 1; (uint64_t) fd < w->kept_from; fd++) {
                int flags = fcntl(fd, F_GETFD);

                if (flags >= 0 && !(flags & FD_CLOEXEC))
                        (void) close(fd);
        }
}

int watch_start_qemu(Watch *w) {
        pid_t parent = getpid();
        int pipe[2];

        if (pipe2(pipe, O_CLOEXEC) < 0) {
                fprintf(stderr, "can't make a pipe: %s\n", strerror(errno));
                return -errno;
        }
        w->qemu = fork();
        if (w->qemu == 0)
                run_qemu(w, parent, pipe[1]);
        (void) close(pipe[1]);
        w->output = pipe[0];
        w->qemu_fd = w->qemu > 0 ? pidfd_open(w->qemu, 0) : -1;
        if (w->qemu_fd < 0) {
                fprintf(stderr, "can't start a process: %s\n", strerror(errno));
                return -errno;
        }
        (void) fcntl(w->output, F_SETFL, O_NONBLOCK);
        leave_to_qemu(w);
        return 0;
}

/* Neither a full disk nor a journal that stands still may hold up the guest: what can't be written now is lost. */
static void write_if_possible(int fd, const char *data, size_t length) {
        struct pollfd ready = { .fd = fd, .events = POLLOUT };

        if (fd >= 0 && poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT))
                (void) !write(fd, data, length);
}

bool watch_pass_output(Watch *w) {
        char buffer[4096];

        for (;;) {
                ssize_t n = read(w->output, buffer, sizeof(buffer));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN;
                if (n == 0)
                        return false;
                write_if_possible(STDERR_FILENO, buffer, (size_t) n);
                write_if_possible(w->log, buffer, (size_t) n);
        }
}

void watch_kill(Watch *w) {
        w->phase = PHASE_KILLED;
        w->press_at = w->give_up_at = NEVER;
        (void) pidfd_send_signal(w->qemu_fd, SIGKILL, NULL, 0);
}

int watch_reap(Watch *w) {
        siginfo_t info = {};

        while (waitid(P_PIDFD, (id_t) w->qemu_fd, &info, WEXITED) < 0 && errno == EINTR)
                ;
        (void) watch_pass_output(w);
        free(w->line);
        if (info.si_code == CLD_EXITED)
                return w->phase == PHASE_KILLED ? 0 : info.si_status;
        if (w->phase == PHASE_KILLED && info.si_status == SIGKILL)
                return 0;
        fprintf(stderr, "QEMU was killed by signal %d (%s)\n", info.si_status, strsignal(info.si_status));
        return 128 + info.si_status;
}
