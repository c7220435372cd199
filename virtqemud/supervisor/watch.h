/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "macro.h"

/* virtqemu-watch: the main process of a VM's unit while QEMU runs. There is one per VM, so it is small: libc, one JSON parser, no heap
 * to speak of. */

#define LINE_MAX_BYTES (1024u * 1024)           /* of QEMU's monitor */
#define REBOOT_TIMEOUT_USEC UINT64_C(60000000)  /* a guest that ignores the power button for so long is reset */
#define QUIT_GRACE_USEC UINT64_C(2000000)       /* between telling QEMU to quit and killing it */
#define NEVER UINT64_MAX

/* What is being done to the guest. */
typedef enum Phase {
        PHASE_RUN,
        PHASE_REBOOT,      /* the power button is pressed; when the guest is off it is reset */
        PHASE_STOP,        /* the power button is pressed; when the guest is off QEMU ends */
        PHASE_QUIT,        /* QEMU was told to end */
        PHASE_KILLED,
} Phase;

typedef struct Watch {
        /* options */
        int monitor, log;               /* -1: none */
        uint64_t stop_timeout, interval, kept_from;
        bool held;                      /* QEMU waits, paused, when the guest has powered off */
        bool paused;                    /* the start is over before the guest runs */
        bool makes_files;               /* QEMU does, whose modes are nothing that a mask has to do with */
        const char *pins;               /* which of QEMU's threads stay on which CPUs; NULL: none */
        const char *on_poweroff, *on_reboot, *on_crash;
        char **argv;

        /* state */
        pid_t qemu;
        int qemu_fd;                    /* its pidfd */
        int signals, output;
        bool ready;                     /* the monitor answers */
        bool started;                   /* systemd was told so */
        Phase phase;
        uint64_t press_at;              /* CLOCK_MONOTONIC: the power button is pressed again */
        uint64_t give_up_at;            /* the phase has lasted too long */
        uint64_t extend_at;             /* systemd is told that stopping still goes on */
        char *line;                     /* from the monitor, not yet whole */
        size_t length, allocated;
} Watch;

uint64_t now_monotonic(void);

/* --- watch-process.c --- */
/* Starts QEMU with its output in a pipe; a failure is told on standard error. */
int watch_start_qemu(Watch *w);
/* Passes on what QEMU said; false at its end. */
bool watch_pass_output(Watch *w);
void watch_kill(Watch *w);
/* Waits for the end (which has come) and gives our exit status. */
int watch_reap(Watch *w);

/* --- watch-monitor.c --- */
/* Reads and handles what came. */
void watch_read_monitor(Watch *w);
/* Sends a command without arguments. */
void watch_command(Watch *w, const char *command);
/* Whether QEMU pauses, not ends, when the guest powers off. */
void watch_hold(Watch *w, bool hold);

/* --- watch-phase.c --- */
void watch_on_ready(Watch *w);
/* What a command returned. */
void watch_on_reply(Watch *w, const json_t *reply);
void watch_on_event(Watch *w, const char *event, json_t *data);
void watch_on_monitor_lost(Watch *w);
void watch_on_signal(Watch *w, int sig);
/* Does what is due; the next time is the earliest of the three in Watch. */
void watch_on_time(Watch *w);

/* --- watch-notify.c --- */
/* Tells systemd, if it listens. */
void notify(const char *fmt, ...) _printf_(1, 2);
