/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helper.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#define SOCKET_FD 3

struct Helper {
        sd_event_source *child, *io;
        int pidfd;                      /* owned by `child` */
        int words_fd;
        HelperFunc done;
        void *userdata;
        size_t n_words;
        char words[HELPER_WORDS_MAX + 1];
};

/* The process may hang in the kernel (a dead NFS server) and outlive its owner: this stays to reap it, with nothing of ours. */
static void child_abandon(sd_event_source *s, int pidfd) {
        if (!s)
                return;
        (void) pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
        sd_event_source_set_userdata(s, NULL);
        (void) sd_event_source_set_floating(s, true);
        sd_event_source_unref(s);
}

Helper *helper_free(Helper *h) {
        if (!h)
                return NULL;
        child_abandon(TAKE_PTR(h->child), h->pidfd);
        sd_event_source_disable_unref(h->io);
        fd_close(h->words_fd);
        free(h);
        return NULL;
}

static void words_keep(Helper *h, const char *text, size_t n) {
        size_t keep = MIN(h->n_words, HELPER_WORDS_MAX - n);

        memmove(h->words, h->words + h->n_words - keep, keep);
        memcpy(h->words + keep, text, n);
        h->n_words = keep + n;
        h->words[h->n_words] = '\0';
}

/* 0: end of file or nothing more; else there may be more. */
static bool words_read(Helper *h) {
        char text[512];
        ssize_t n = read(h->words_fd, text, sizeof(text));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                h->io = sd_event_source_disable_unref(h->io);
                return false;
        }
        for (ssize_t i = 0; i < n; i++)
                if (iscntrl((unsigned char) text[i]) || (unsigned char) text[i] >= 0x80)
                        text[i] = text[i] == '\n' ? '\n' : ' ';
        words_keep(h, text, (size_t) n);
        return true;
}

static int on_words(_unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
        (void) words_read(userdata);
        return 0;
}

static int on_exit_of_child(sd_event_source *s, const siginfo_t *si, void *userdata) {
        Helper *h = userdata;
        int code = si->si_code, status = si->si_status;

        if (!h) {
                (void) sd_event_source_set_floating(s, false);
                return 0;
        }
        /* Bounded, in case a grandchild goes on writing. */
        for (unsigned i = 0; i < 256 && h->io && words_read(h); i++)
                ;
        while (h->n_words > 0 && isspace((unsigned char) h->words[h->n_words - 1]))
                h->words[--h->n_words] = '\0';
        h->io = sd_event_source_disable_unref(h->io);
        h->child = sd_event_source_disable_unref(h->child);
        h->done(h, code, status, h->userdata);
        return 0;
}

static _noreturn_ void run_program(char *const argv[], int input, int socket, int words, pid_t parent) {
        char *environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C", (char *) "HOME=/", NULL };
        sigset_t none;

        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) setpgid(0, 0);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(127);
        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        (void) setrlimit(RLIMIT_CORE, &(struct rlimit) {});
        /* All of them are numbered above 3, so no dup2() tramples on another one. */
        if (dup2(input, STDIN_FILENO) < 0 || dup2(words, STDERR_FILENO) < 0 || dup2(socket, SOCKET_FD) < 0)
                _exit(127);
        (void) close_range(SOCKET_FD + 1, ~0U, 0);
        if (open("/dev/null", O_WRONLY) >= 0)
                (void) dup2(SOCKET_FD + 1, STDOUT_FILENO);
        (void) close(SOCKET_FD + 1);
        execve(argv[0], argv, environment);
        dprintf(STDERR_FILENO, "%s can't be started: %s", argv[0], strerror(errno));
        _exit(127);
}

/* sd-event refuses to watch a child otherwise; asked before there is one. */
static bool sigchld_is_blocked(void) {
        sigset_t mask;

        return sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGCHLD) == 1;
}

static int fork_program(char *const argv[], int input, int socket, int words) {
        _cleanup_fd_ int null = -1, in = -1, sock = -1, err = -1;
        pid_t pid, parent = getpid();
        int pidfd;

        if (input < 0 || socket < 0) {
                null = open("/dev/null", O_RDONLY | O_CLOEXEC);
                if (null < 0)
                        return -errno;
        }
        in = fcntl(input < 0 ? null : input, F_DUPFD_CLOEXEC, SOCKET_FD + 1);
        sock = fcntl(socket < 0 ? null : socket, F_DUPFD_CLOEXEC, SOCKET_FD + 1);
        err = fcntl(words, F_DUPFD_CLOEXEC, SOCKET_FD + 1);
        if (in < 0 || sock < 0 || err < 0)
                return -errno;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                run_program(argv, in, sock, err, parent);
        pidfd = pidfd_open(pid, 0);
        return pidfd < 0 ? -errno : pidfd;
}

static int helper_watch(Helper *h, sd_event *e, int pidfd) {
        int r;

        r = sd_event_add_child_pidfd(e, &h->child, pidfd, WEXITED, on_exit_of_child, h);
        if (r < 0) {
                /* Without memory for the source: it ends and stays a zombie until we end ourselves. */
                (void) pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
                fd_close(pidfd);
                return r;
        }
        h->pidfd = pidfd;
        (void) sd_event_source_set_child_pidfd_own(h->child, true);
        /* After the sockets, so that its last answer is read before its end is told. */
        return sd_event_source_set_priority(h->child, SD_EVENT_PRIORITY_NORMAL + 2);
}

int helper_start(sd_event *e, char *const argv[], int input, int socket, HelperFunc done, void *userdata, Helper **ret) {
        _cleanup_(helper_freep) Helper *h = NULL;
        _cleanup_fd_ int writer = -1;
        int words[2], pidfd, r;

        assert(e && argv && argv[0] && done && ret);

        if (!sigchld_is_blocked())
                return -EBUSY;
        h = new0(Helper, 1);
        if (!h)
                return -ENOMEM;
        h->words_fd = -1;
        h->done = done;
        h->userdata = userdata;
        if (pipe2(words, O_CLOEXEC) < 0)
                return -errno;
        h->words_fd = words[0];
        writer = words[1];
        r = fd_set_nonblock(h->words_fd, true);
        if (r < 0)
                return r;
        r = sd_event_add_io(e, &h->io, h->words_fd, EPOLLIN, on_words, h);
        if (r < 0)
                return r;
        pidfd = fork_program(argv, input, socket, writer);
        if (pidfd < 0)
                return pidfd;
        r = helper_watch(h, e, pidfd);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

const char *helper_words(const Helper *h) {
        assert(h);
        return h->words;
}

char *helper_describe(const Helper *h, int si_code, int status) {
        const char *colon = *h->words ? ": " : "";

        if (si_code == CLD_EXITED && status == 127 && *h->words)
                return strdup(h->words);
        if (si_code == CLD_EXITED)
                return strf("ended with status %d%s%s", status, colon, h->words);
        return strf("was killed by signal %d (%s)%s%s", status, strsignal(status), colon, h->words);
}
