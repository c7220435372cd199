/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

struct Child {
        pid_t pid;
        bool ended, released;
        sd_event_source *source, *report_source;
        int report;                  /* what it tells before its exec(); -1: it runs its program, or can't */
        Fault why;                   /* it can't */
        char *program;
        void (*started)(Child *c, const Fault *why, void *userdata);
        ChildEnded done;
        void *userdata;
        bool telling, freed;         /* … by what is being told that it runs */
};

/* What the child tells before its exec() succeeds: which step failed and why. */
typedef struct Failure {
        char step[32];
        int error;
} Failure;

static _noreturn_ void fail(int report, const char *step) {
        Failure f = { .error = errno };

        (void) snprintf(f.step, sizeof(f.step), "%s", step);
        (void) fd_write_all(report, &f, sizeof(f));
        _exit(127);
}

/* First all out of the way of the wanted numbers, then down to them; `report` stays on top of all. */
static void place_fds(const ChildSpec *spec, int *report) {
        int top = 3, moved;

        for (size_t i = 0; i < spec->n_fds; i++)
                top = MAX(top, spec->fds[i].number + 1);
        moved = fcntl(*report, F_DUPFD_CLOEXEC, top);
        if (moved < 0)
                fail(*report, "copying descriptors");
        *report = moved;

        ChildFd *fds = calloc(spec->n_fds ?: 1, sizeof(*fds));
        if (!fds)
                fail(*report, "copying descriptors");
        for (size_t i = 0; i < spec->n_fds; i++) {
                fds[i].fd = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, top);
                if (fds[i].fd < 0)
                        fail(*report, "copying descriptors");
        }
        for (size_t i = 0; i < spec->n_fds; i++)
                if (dup2(fds[i].fd, spec->fds[i].number) < 0)
                        fail(*report, "placing descriptors");
}

/* Whatever else is open here is not for the child; close-on-exec, because `report` must live until exec(). */
static void close_others(const ChildSpec *spec) {
        int from = 3;

        (void) close_range((unsigned) from, ~0u, CLOSE_RANGE_CLOEXEC);
        for (size_t i = 0; i < spec->n_fds; i++)
                (void) fd_set_cloexec(spec->fds[i].number, false);
}

static void change_identity(const ChildSpec *spec, int report) {
        if (spec->uid == 0)
                return;
        if (setgroups(0, NULL) < 0 || setresgid(spec->gid, spec->gid, spec->gid) < 0 ||
            setresuid(spec->uid, spec->uid, spec->uid) < 0)
                fail(report, "changing the user");
        /* Lost with the change of user; whoever may debug it is decided by root alone. */
        (void) prctl(PR_SET_DUMPABLE, 0);
}

static _noreturn_ void run_child(const ChildSpec *spec, int report) {
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        for (int s = 1; s < 32; s++)
                (void) signal(s, SIG_DFL);
        if (spec->detach)
                (void) setsid();
        if (spec->empty_network)
                (void) unshare(CLONE_NEWNET);
        place_fds(spec, &report);
        close_others(spec);
        change_identity(spec, report);
        execve(spec->argv[0], spec->argv, spec->environment ?: environ);
        fail(report, "executing it");
}

/* The pipe closes at exec(). */
static void take_report(Child *c) {
        Failure why;
        ssize_t n = read(c->report, &why, sizeof(why));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        c->report_source = sd_event_source_disable_unref(c->report_source);
        c->report = fd_close(c->report);
        if (n == sizeof(why)) {
                fault_set(&c->why, FAULT_UNIT, why.error, "can't start %s: %.*s: %s", c->program, (int) sizeof(why.step), why.step, strerror(why.error));
                log_warning("%s", fault_text(&c->why));
        } else if (c->started)
                c->started(c, NULL, c->userdata);
}

static int on_report(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        take_report(userdata);
        return 0;
}

static void tell_end(Child *c, int status) {
        c->telling = true;
        if (c->report >= 0)
                take_report(c);
        c->telling = false;
        if (c->freed)
                child_release(c);
        else if (fault_is_set(&c->why) && c->started)
                c->started(c, &c->why, c->userdata);
        else if (c->done)
                c->done(c, status, c->userdata);
}

static int on_ended(sd_event_source *source, const siginfo_t *si, void *userdata) {
        Child *c = userdata;
        int status = si->si_code == CLD_EXITED ? (si->si_status & 0xff) << 8 : si->si_status & 0x7f;

        c->ended = true;
        if (c->released) /* its memory goes with the source, whose only reference this drops */
                (void) sd_event_source_set_floating(source, false);
        else
                tell_end(c, status);
        return 0;
}

/* Descriptors and memory but that of the structure itself. */
static void forget(Child *c) {
        c->report_source = sd_event_source_disable_unref(c->report_source);
        c->report = fd_close(c->report);
        fault_clear(&c->why);
        free_and_replace(&c->program, NULL);
}

static int watch(Child *c, sd_event *event) {
        int r = fd_set_nonblock(c->report, true);

        if (r >= 0)
                r = sd_event_add_io(event, &c->report_source, c->report, EPOLLIN, on_report, c);
        return r < 0 ? r : sd_event_add_child(event, &c->source, c->pid, WEXITED, on_ended, c);
}

int child_new(sd_event *event, const ChildSpec *spec, ChildEnded ended, void *userdata, Child **ret, Fault *f) {
        _cleanup_(child_freep) Child *c = NULL;
        int pipe[2], r;

        assert(event && spec && spec->argv && spec->argv[0] && ret);

        c = new0(Child, 1);
        if (!c)
                return fault_oom(f);
        c->report = -1;
        c->program = strdup(spec->argv[0]);
        if (!c->program)
                return fault_oom(f);
        if (pipe2(pipe, O_CLOEXEC) < 0)
                return -errno;
        c->report = pipe[0];

        c->pid = fork();
        if (c->pid == 0)
                run_child(spec, pipe[1]);
        fd_close(pipe[1]);
        if (c->pid < 0) {
                c->pid = 0;
                return fault_set(f, FAULT_UNIT, errno, "can't start %s: %m", spec->argv[0]);
        }
        r = watch(c, event);
        if (r < 0)
                return r;
        c->started = spec->started;
        c->done = ended;
        c->userdata = userdata;
        *ret = TAKE_PTR(c);
        return 0;
}

/* Never waits, because even a killed process takes its time while a file server does not answer: the loop reaps it when it ends. */
Child *child_free(Child *c) {
        if (c && c->pid > 0 && !c->ended)
                (void) kill(c->pid, SIGKILL);
        return child_release(c);
}

Child *child_release(Child *c) {
        if (!c)
                return NULL;
        forget(c);
        if (c->telling) {
                c->freed = true;
                return NULL;
        }
        if (c->ended || !c->source) {
                sd_event_source_disable_unref(c->source);
                free(c);
                return NULL;
        }
        c->released = true;
        (void) sd_event_source_set_destroy_callback(c->source, free);
        (void) sd_event_source_set_floating(c->source, true);
        sd_event_source_unref(c->source);
        return NULL;
}

pid_t child_pid(const Child *c) {
        assert(c);

        return c->pid;
}

char *child_end_text(const Child *c, int status) {
        if (fault_is_set(&c->why))
                return strf("could not be started: %s", fault_text(&c->why));
        if (WIFEXITED(status))
                return strf("exited with status %d", WEXITSTATUS(status));
        return strf("was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
}
