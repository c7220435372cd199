/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "terminal.h"

static pid_t pager;

static void pager_close(void) {
        (void) fflush(stdout);
        (void) close(STDOUT_FILENO);
        while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* NULL: none is wanted. */
static const char *chosen(void) {
        static const char *const variables[] = { "VIRTCTL_PAGER", "SYSTEMD_PAGER", "PAGER" };

        for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
                const char *program = getenv(variables[i]);

                if (program)
                        return is_empty(program) || streq(program, "cat") ? NULL : program;
        }
        return "less";
}

_noreturn_ static void run(const char *program, int input) {
        /* Colours pass, and what fits on the screen is just printed, as systemctl(1) has it. */
        (void) setenv("LESS", "FRSXMK", 0);
        (void) dup2(input, STDIN_FILENO);
        (void) signal(SIGINT, SIG_DFL);
        execlp("sh", "sh", "-c", program, NULL);
        _exit(127);
}

/* Whether the first word is a program at all: output must not go where nobody is. */
static bool exists(const char *program) {
        _cleanup_free_ char *name = strndup(program, strcspn(program, " "));
        const char *path = getenv("PATH") ?: "/usr/bin:/bin";

        if (!name || strchr(name, '/'))
                return name && access(name, X_OK) >= 0;
        for (const char *p = path; p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
                _cleanup_free_ char *full = strf("%.*s/%s", (int) strcspn(p, ":"), p, name);

                if (full && access(full, X_OK) >= 0)
                        return true;
        }
        return false;
}

void pager_open(const Client *c) {
        const char *program = chosen();
        int pipes[2];

        if (pager > 0 || c->no_pager || terminal_width() == 0 || !program || !exists(program) || pipe2(pipes, O_CLOEXEC) < 0)
                return;
        (void) fflush(stdout);
        pager = fork();
        if (pager == 0)
                run(program, pipes[0]);
        if (pager > 0 && dup2(pipes[1], STDOUT_FILENO) >= 0) {
                /* Ctrl-C is for the pager, which is left with q. */
                (void) signal(SIGINT, SIG_IGN);
                (void) atexit(pager_close);
        }
        (void) close(pipes[0]);
        (void) close(pipes[1]);
}
