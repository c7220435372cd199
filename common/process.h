/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* A process that need not be our child, held by a pidfd so that its number can't come to mean another one. */
typedef struct Process {
        pid_t pid;             /* 0: none */
        int pidfd;
        uint64_t start_time;   /* clock ticks since boot: with the pid, its identity across our own restarts */
} Process;
#define PROCESS_INIT ((Process) { .pidfd = -1 })

/* -ESRCH when it is gone. With `start_time` not 0, also when the pid belongs to another process now. */
int process_open(pid_t pid, uint64_t start_time, Process *ret);
void process_close(Process *p);

/* Whose it is now (its effective user and group). */
int process_user(const Process *p, uid_t *ret_user, gid_t *ret_group);

/* 0 also when it has ended already. */
int process_signal(const Process *p, int sig);
bool process_is_alive(const Process *p);

/* The only child of a process; -ENOENT if it has none, -EUCLEAN if it has several. */
int process_only_child(const Process *parent, pid_t *ret);
