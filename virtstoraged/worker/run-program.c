/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "sandbox.h"
#include "str.h"

#define SECRET_FD 7
#define FIRST_FREE_FD 10

extern char **environ;

static const char *const folders[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin" };

static char *find_program(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                _cleanup_free_ char *path = strf("%s/%s", folders[i], name);

                if (path && access(path, X_OK) == 0)
                        return TAKE_PTR(path);
        }
        return NULL;
}

/* --- the child --- */

static _noreturn_ void run_child(const ProgramSpec *spec, const char *path, int in, int out, int err, const int *secrets, pid_t parent) {
        char *environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C", (char *) "HOME=/", NULL };

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(127);
        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
                _exit(127);
        if (!spec->network)
                sandbox_leave_network();
        (void) syscall(SYS_close_range, 3, SECRET_FD - 1, 0);
        for (int i = 0; i < (int) PROGRAM_SECRETS_MAX; i++)
                if (secrets[i] < 0)
                        (void) close(SECRET_FD + i);
                else if (dup2(secrets[i], SECRET_FD + i) < 0)
                        _exit(127);
        (void) syscall(SYS_close_range, SECRET_FD + PROGRAM_SECRETS_MAX, ~0U, 0);
        if (sandbox_enter(spec->readable, spec->writable) < 0) {
                dprintf(STDERR_FILENO, "it can't be kept apart: %s", strerror(errno));
                _exit(126);
        }
        execve(path, spec->argv, environment);
        dprintf(STDERR_FILENO, "%s can't be started: %s", path, strerror(errno));
        _exit(127);
}

/* --- what it says --- */

typedef struct Stream {
        int fd;
        char *data;
        size_t length, allocated, max;
        bool keep_end;               /* beyond `max` the beginning is dropped */
} Stream;

static void stream_clear(Stream *s) {
        s->fd = fd_close(s->fd);
        free(s->data);
}

/* 0: it has ended. */
static int stream_read(Stream *s) {
        ssize_t n;

        if (!GROW(s->data, s->allocated, s->length + 4097))
                return -ENOMEM;
        n = read(s->fd, s->data + s->length, 4096);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 1 : -errno;
        if (n == 0) {
                s->fd = fd_close(s->fd);
                return 0;
        }
        s->length += (size_t) n;
        if (s->length > s->max) {
                if (!s->keep_end)
                        return -EFBIG;
                memmove(s->data, s->data + (s->length - s->max), s->max);
                s->length = s->max;
        }
        s->data[s->length] = '\0';
        return 1;
}

static int listen_to(const ProgramSpec *spec, Stream *out, Stream *err) {
        while (out->fd >= 0 || err->fd >= 0) {
                struct pollfd fds[] = { { .fd = out->fd, .events = POLLIN }, { .fd = err->fd, .events = POLLIN } };
                int r = 0;

                if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
                        return -errno;
                if (fds[0].revents) {
                        r = stream_read(out);
                        if (r > 0 && spec->said)
                                spec->said(out->data, spec->userdata);
                }
                if (r >= 0 && fds[1].revents)
                        r = stream_read(err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void words_clean(Stream *err) {
        while (err->length > 0 && (unsigned char) err->data[err->length - 1] <= ' ')
                err->data[--err->length] = '\0';
        for (size_t i = 0; i < err->length; i++)
                if ((unsigned char) err->data[i] < ' ')
                        err->data[i] = err->data[i] == '\n' ? ';' : '?';
}

static int judge(const ProgramSpec *spec, const siginfo_t *si, Stream *err, Fault *f) {
        const char *name = spec->argv[0], *words;

        if (si->si_code == CLD_EXITED && si->si_status == 0)
                return 0;
        words_clean(err);
        words = err->length > 0 ? err->data : "no words about it";
        if (si->si_code != CLD_EXITED)
                return fault_set(f, FAULT_POOL, EIO, "%s was killed by signal %d: %s", name, si->si_status, words);
        if (strstr(words, "No space left on device"))
                return fault_set(f, FAULT_NO_SPACE, ENOSPC, "%s: %s", name, words);
        return fault_set(f, FAULT_POOL, EIO, "%s failed: %s", name, words);
}

static int open_input(const char *text) {
        return text ? memfd_new_sealed("input", text, strlen(text)) : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Numbered so high that no dup2() in the child tramples on another one. */
static int move_up(int *fd) {
        int moved = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);

        fd_close(*fd);
        *fd = moved;
        return moved < 0 ? -errno : 0;
}

static int make_secrets(const ProgramSpec *spec, int fds[PROGRAM_SECRETS_MAX]) {
        for (size_t i = 0; i < PROGRAM_SECRETS_MAX; i++) {
                if (!spec->secrets[i].data)
                        continue;
                fds[i] = memfd_new_sealed("secret", spec->secrets[i].data, spec->secrets[i].length);
                if (fds[i] < 0)
                        return fds[i];
                if (move_up(&fds[i]) < 0)
                        return -errno;
        }
        return 0;
}

static int fork_child(const ProgramSpec *spec, const char *path, const int stdio[3], pid_t *ret) {
        int secrets[PROGRAM_SECRETS_MAX] = { -1, -1 }, r = make_secrets(spec, secrets);
        pid_t parent = getpid();

        if (!spec->network)
                sandbox_prepare_network();
        if (r >= 0) {
                *ret = fork();
                if (*ret == 0)
                        run_child(spec, path, stdio[0], stdio[1], stdio[2], secrets, parent);
                r = *ret < 0 ? -errno : 0;
        }
        for (size_t i = 0; i < PROGRAM_SECRETS_MAX; i++)
                fd_close(secrets[i]);
        return r;
}

static int start(const ProgramSpec *spec, const char *path, Stream *out, Stream *err, pid_t *ret) {
        _cleanup_fd_ int in = open_input(spec->input), out_end = -1, err_end = -1;
        int a[2], b[2];

        if (in < 0 || pipe2(a, O_CLOEXEC) < 0)
                return -errno;
        out->fd = a[0];
        out_end = a[1];
        if (pipe2(b, O_CLOEXEC) < 0)
                return -errno;
        err->fd = b[0];
        err_end = b[1];
        if (move_up(&in) < 0 || move_up(&out_end) < 0 || move_up(&err_end) < 0)
                return -errno;
        return fork_child(spec, path, (const int[]) { in, out_end, err_end }, ret);
}

int program_run(const ProgramSpec *spec, char **ret_output, Fault *f) {
        _cleanup_(stream_clear) Stream out = { .fd = -1, .max = PROGRAM_OUTPUT_MAX }, err = { .fd = -1, .max = PROGRAM_WORDS_MAX, .keep_end = true };
        _cleanup_free_ char *path = find_program(spec->argv[0]);
        siginfo_t si = {};
        pid_t pid = 0;
        int r, q;

        if (!path) {
                fault_set(f, FAULT_NOT_SUPPORTED, ENOENT, "the program %s is not installed", spec->argv[0]);
                return -ENOENT;
        }
        r = start(spec, path, &out, &err, &pid);
        if (r < 0)
                return fault_set(f, FAULT_POOL, -r, "%s can't be started: %s", spec->argv[0], strerror(-r));
        r = listen_to(spec, &out, &err);
        if (r < 0)
                (void) kill(pid, SIGKILL);
        do
                q = waitid(P_PID, (id_t) pid, &si, WEXITED);
        while (q < 0 && errno == EINTR);
        if (r < 0)
                return fault_set(f, FAULT_POOL, -r, "what %s says can't be read: %s", spec->argv[0], strerror(-r));
        r = judge(spec, &si, &err, f);
        if (r >= 0 && ret_output) {
                if (spec->output_length)
                        *spec->output_length = out.length;
                *ret_output = out.data ? TAKE_PTR(out.data) : strdup("");
                r = *ret_output ? 0 : fault_oom(f);
        }
        return r;
}
