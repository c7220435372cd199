/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "str.h"

#define OUTPUT_MAX ((size_t) 8 * 1024 * 1024)

static int start(char *const *argv, int output, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r != 0)
                return -r;
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawnp(ret, argv[0], &actions, NULL, argv, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* Until it closes its end. */
static int take(int fd, uint64_t until, Text *t) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        char buffer[4096];

        for (;;) {
                uint64_t now = now_usec(CLOCK_MONOTONIC);
                ssize_t n;

                if (now >= until || poll(&p, 1, (int) ((until - now) / 1000) + 1) == 0)
                        return -ETIMEDOUT;
                n = read(fd, buffer, sizeof(buffer));
                if (n == 0)
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0)
                        text_addn(t, buffer, (size_t) n);
                if (t->length > OUTPUT_MAX)
                        return -EFBIG;
        }
}

int program_output(char *const *argv, unsigned seconds, char **ret) {
        uint64_t until = now_usec(CLOCK_MONOTONIC) + UINT64_C(1000000) * seconds;
        _cleanup_text_ Text t = TEXT_INIT;
        int pipes[2], status = 0, r;
        pid_t pid;

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return -errno;
        r = start(argv, pipes[1], &pid);
        fd_close(pipes[1]);
        if (r >= 0) {
                r = take(pipes[0], until, &t);
                if (r < 0)
                        (void) kill(pid, SIGKILL);
                while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                        ;
        }
        fd_close(pipes[0]);
        if (r < 0)
                return r;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EIO;
        text_add(&t, "");
        *ret = text_finish(&t);
        return *ret ? 0 : -ENOMEM;
}
