/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "fault.h"

/* A program started by us, watched by pidfd on the loop. */
typedef struct Child Child;

/* A descriptor and the number it has in the child. */
typedef struct ChildFd {
        int fd;
        int number;
} ChildFd;

typedef struct ChildSpec {
        char *const *argv;          /* argv[0] is a path */
        char *const *environment;   /* NULL: ours */
        const ChildFd *fds;         /* everything else from 3 on is closed; 0, 1, 2 are ours unless given here */
        size_t n_fds;
        uid_t uid;                  /* 0: stays */
        gid_t gid;
        bool detach;                /* a session of its own; outlives us */
        bool empty_network;         /* a network namespace of its own where we may make one */
        /* The program runs; or it does not, because of `why`, and `ended` will not come. May be NULL: then `ended` tells of that, too. */
        void (*started)(Child *c, const Fault *why, void *userdata);
} ChildSpec;

/* Exactly once, unless child_free() or child_release() comes first. `status` as waitpid() gives it. */
typedef void (*ChildEnded)(Child *c, int status, void *userdata);

/* Never waits: whether the program can be executed is told later. */
int child_new(sd_event *event, const ChildSpec *spec, ChildEnded ended, void *userdata, Child **ret, Fault *f);
/* Kills it if it still runs. */
Child *child_free(Child *c);
DEFINE_CLEANUP(Child *, child_free)
/* Lets it run on without us. */
Child *child_release(Child *c);

pid_t child_pid(const Child *c);

/* "exited with status 1", "was killed by signal 9 (Killed)", "could not be started: executing it: No such file or directory". */
char *child_end_text(const Child *c, int status);
