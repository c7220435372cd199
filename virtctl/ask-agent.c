/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask-agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "fd.h"
#include "macro.h"
#include "str.h"

#define PROGRAM "/usr/bin/pkttyagent"
#define READY_MS 5000

static pid_t agent;

/* With "--fallback" a desktop's agent is asked first. Without a desktop polkit may know no session, and then no fallbacks either. */
static bool has_desktop(void) {
        _cleanup_free_ char *session = NULL, *type = NULL;

        if (sd_pid_get_session(0, &session) < 0 && sd_uid_get_display(getuid(), &session) < 0)
                return false;
        return sd_session_get_type(session, &type) >= 0 && (streq(type, "x11") || streq(type, "wayland"));
}

/* It speaks to the terminal by its name. */
static bool has_terminal(void) {
        _cleanup_fd_ int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

        return fd >= 0;
}

_noreturn_ static void run(pid_t parent, int ready) {
        char number[16];
        int fd = fcntl(ready, F_DUPFD, 3);

        /* It must not stay at the terminal when virtctl was killed. */
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (fd < 0 || getppid() != parent)
                _exit(1);
        (void) snprintf(number, sizeof(number), "%d", fd);
        execl(PROGRAM, PROGRAM, "--notify-fd", number, has_desktop() ? "--fallback" : NULL, NULL);
        _exit(1);
}

void ask_agent_open(void) {
        struct pollfd ready = { .events = POLLHUP };
        pid_t parent = getpid();
        int ends[2];

        /* root is asked nothing. */
        if (agent != 0 || geteuid() == 0 || access(PROGRAM, X_OK) < 0 || !has_terminal() || pipe2(ends, O_CLOEXEC) < 0)
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
