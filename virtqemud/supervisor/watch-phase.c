/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "thread-pin.h"
#include "watch.h"

/* What signals, events and time do to the guest. */

#define EXTEND_INTERVAL_USEC UINT64_C(5000000)

uint64_t now_monotonic(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void enter(Watch *w, Phase phase, uint64_t usec) {
        w->phase = phase;
        w->press_at = NEVER;
        w->give_up_at = usec == NEVER ? NEVER : now_monotonic() + usec;
}

static void press_power_button(Watch *w) {
        /* Stopped vCPUs can't see a button; "cont" on running ones does nothing. */
        watch_command(w, "cont");
        watch_command(w, "system_powerdown");
        w->press_at = now_monotonic() + w->interval;
}

static void quit(Watch *w) {
        enter(w, PHASE_QUIT, QUIT_GRACE_USEC);
        watch_command(w, "quit");
}

static void reset(Watch *w) {
        watch_command(w, "system_reset");
        watch_command(w, "cont");
        watch_hold(w, w->held);
        enter(w, PHASE_RUN, NEVER);
}

static void begin_stop(Watch *w) {
        if (w->phase >= PHASE_STOP)
                return;
        notify("STOPPING=1\nSTATUS=Waiting for the guest to power off");
        w->extend_at = 0;
        if (!w->ready || w->monitor < 0) {
                watch_kill(w); /* there is no guest yet, or no way to tell it */
                return;
        }
        enter(w, PHASE_STOP, w->stop_timeout);
        watch_hold(w, false);
        press_power_button(w);
}

static void begin_reboot(Watch *w) {
        if (w->phase != PHASE_RUN || !w->ready || w->monitor < 0)
                return;
        enter(w, PHASE_REBOOT, REBOOT_TIMEOUT_USEC);
        watch_hold(w, true);
        press_power_button(w);
}

/* The guest has powered off and QEMU waits for somebody to say what follows. */
static void decide(Watch *w, const char *word) {
        if (strcmp(word, "restart") == 0)
                reset(w);
        else if (strcmp(word, "preserve") != 0)
                quit(w);
}

static void on_shutdown(Watch *w, const json_t *data) {
        const char *reason = json_string_value(json_object_get(data, "reason")) ?: "";

        if (!json_is_true(json_object_get(data, "guest")))
                return;
        if (w->phase == PHASE_REBOOT)
                reset(w);
        else if (w->phase == PHASE_RUN && w->held)
                decide(w, strcmp(reason, "guest-reset") == 0 ? w->on_reboot : w->on_poweroff);
}

static void on_panicked(Watch *w, const json_t *data) {
        const char *action = json_string_value(json_object_get(data, "action")) ?: "";

        if (w->phase <= PHASE_REBOOT && strcmp(action, "pause") == 0 && strcmp(w->on_crash, "restart") == 0)
                reset(w);
}

/* The unit is started when the guest runs, not before, so that what is ordered after it finds it so. */
static void tell_started(Watch *w) {
        if (w->started)
                return;
        w->started = true;
        notify("READY=1\nSTATUS=Running QEMU, PID %d", (int) w->qemu);
}

static void on_not_pinned(const char *name, const char *list, void *userdata) {
        fprintf(stderr, "can't keep QEMU's thread \"%s\" on the CPUs %.*s: %m\n", name, (int) strcspn(list, ";"), list);
}

void watch_on_ready(Watch *w) {
        threads_pin(w->qemu, w->pins, on_not_pinned, NULL);
        if (w->paused)
                tell_started(w);
        else
                watch_command(w, "query-status"); /* who was told sooner than we listened has had no event for us */
}

void watch_on_reply(Watch *w, const json_t *reply) {
        if (json_is_true(json_object_get(reply, "running")))
                tell_started(w);
}

void watch_on_event(Watch *w, const char *event, json_t *data) {
        if (strcmp(event, "SHUTDOWN") == 0)
                on_shutdown(w, data);
        else if (strcmp(event, "GUEST_PANICKED") == 0)
                on_panicked(w, data);
        else if (strcmp(event, "RESUME") == 0)
                tell_started(w);
        else if (strcmp(event, "RESET") == 0 && w->phase == PHASE_REBOOT) {
                /* Somebody was quicker, or the guest rebooted by itself. */
                watch_hold(w, w->held);
                enter(w, PHASE_RUN, NEVER);
        }
}

void watch_on_monitor_lost(Watch *w) {
        w->press_at = NEVER;
        if (w->phase == PHASE_STOP)
                watch_kill(w);
}

void watch_on_signal(Watch *w, int sig) {
        if (sig == SIGTERM || sig == SIGRTMIN + 4)
                begin_stop(w);
        else if (sig == SIGINT)
                begin_reboot(w);
        else if (sig == SIGQUIT)
                watch_kill(w);
}

void watch_on_time(Watch *w) {
        uint64_t now = now_monotonic();

        if (now >= w->press_at)
                press_power_button(w);
        if (now >= w->extend_at) {
                notify("EXTEND_TIMEOUT_USEC=%llu", (unsigned long long) (EXTEND_INTERVAL_USEC + 10000000));
                w->extend_at = now + EXTEND_INTERVAL_USEC;
        }
        if (now < w->give_up_at)
                return;
        switch (w->phase) {
        case PHASE_REBOOT:
                fprintf(stderr, "the guest ignores the power button, resetting it\n");
                reset(w);
                break;
        case PHASE_STOP:
                fprintf(stderr, "the guest did not power off in time, ending QEMU\n");
                quit(w);
                break;
        case PHASE_QUIT:
                watch_kill(w);
                break;
        case PHASE_RUN:
        case PHASE_KILLED:
                w->give_up_at = NEVER;
                break;
        }
}
