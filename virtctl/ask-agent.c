/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask-agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "macro.h"

#define PROGRAM "/usr/bin/pkttyagent"
#define READY_MS 5000

static pid_t agent;

_noreturn_ static void run(pid_t parent, int ready) {
        char number[16];
        int fd = fcntl(ready, F_DUPFD, 3);

        /* It must not stay at the terminal when virtctl was killed. */
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (fd < 0 || getppid() != parent)
                _exit(1);
        (void) snprintf(number, sizeof(number), "%d", fd);
        execl(PROGRAM, PROGRAM, "--notify-fd", number, "--fallback", NULL);
        _exit(1);
}

void ask_agent_open(void) {
        struct pollfd ready = { .events = POLLHUP };
        pid_t parent = getpid();
        int ends[2];

        /* root is asked nothing. */
        if (agent != 0 || geteuid() == 0 || access(PROGRAM, X_OK) < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return;
        agent = fork();
        if (agent == 0)
                run(parent, ends[1]);
        (void) close(ends[1]);
        ready.fd = ends[0];
        /* It closes the pipe once polkit knows it. */
        while (agent > 0 && poll(&ready, 1, READY_MS) < 0 && errno == EINTR)
                ;
        (void) close(ends[0]);
}

void ask_agent_close(void) {
        if (agent <= 0)
                return;
        /* It puts the terminal back to what it was when it is told to end. */
        (void) kill(agent, SIGTERM);
        (void) kill(agent, SIGCONT);
        while (waitpid(agent, NULL, 0) < 0 && errno == EINTR)
                ;
        agent = 0;
}
