/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "clock.h"
#include "screen.h"
#include "str.h"
#include "terminal.h"
#include "top-table.h"
#include "values.h"
#include "verbs.h"

/* `virtctl top`: virtqemud sends statistics at our interval, and only to us; nothing is asked again. */

/* Bits of SubscribeStatistics(): state, cpu, memory, block, net. */
#define GROUPS (UINT64_C(1) | 2 | 8 | 64 | 512)
#define SECOND_USEC UINT64_C(1000000)
#define SETTLE_USEC UINT64_C(300000)   /* until the statistics of one interval have all come */
#define HEAD_ROWS 4                     /* above the VMs */

typedef struct View {
        sd_event *event;
        Client *client;
        Top top;
        uint64_t delay_usec, iterations;   /* 0: until it is left */
        bool is_screen, has_drawn;
        int signal;                        /* that ends it */
} View;

/* --- drawing --- */

static void draw(View *v) {
        if (v->is_screen) {
                size_t height = terminal_height();

                screen_begin();
                top_print(&v->top, height > HEAD_ROWS + 1 ? height - HEAD_ROWS - 1 : 1);
                screen_show();
        } else {
                if (v->has_drawn)
                        putchar('\n');
                top_print(&v->top, 0);
                (void) fflush(stdout);
        }
        v->has_drawn = true;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        View *v = userdata;

        top_forget(&v->top, now_usec(CLOCK_MONOTONIC) - 2 * v->delay_usec - SECOND_USEC);
        draw(v);
        if (v->iterations > 0 && --v->iterations == 0)
                return sd_event_exit(v->event, DONE);
        (void) sd_event_source_set_time(s, usec + v->delay_usec);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* --- what comes --- */

static int on_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        View *v = userdata;
        json_auto_t *values = NULL;
        uint64_t timestamp;

        if (sd_bus_message_read(m, "t", &timestamp) < 0)
                return 0;
        values = value_to_json(m);
        top_update(&v->top, sd_bus_message_get_path(m), timestamp, values);
        return 0;
}

static int append_wanted(sd_bus_message *m, const View *v) {
        return sd_bus_message_append(m, "aotta{sv}", 0, GROUPS, v->delay_usec, 0);
}

static int subscribe(View *v) {
        sd_bus_message *m = NULL;
        int r = client_new_call(v->client, &m, QEMU1_ROOT, MANAGER_INTERFACE, "SubscribeStatistics");

        if (r != 0)
                return r;
        r = append_wanted(m, v);
        if (r < 0) {
                sd_bus_message_unref(m);
                return client_garbled(r);
        }
        return client_send(v->client, m, NULL);
}

/* A virtqemud that was started again knows of no subscriptions. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *again = NULL;
        const char *name, *before, *after;
        View *v = userdata;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || !*after)
                return 0;
        if (sd_bus_message_new_method_call(v->client->bus, &again, QEMU1, QEMU1_ROOT, MANAGER_INTERFACE, "SubscribeStatistics") >= 0 &&
            append_wanted(again, v) >= 0)
                (void) sd_bus_send(v->client->bus, again, NULL);
        return 0;
}

/* --- who looks --- */

static int on_key(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        static const char keys[] = { [TOP_CPU] = 'c', [TOP_MEMORY] = 'm', [TOP_DISK] = 'd', [TOP_NET] = 'n' };
        View *v = userdata;
        char typed[64];
        ssize_t n = read(fd, typed, sizeof(typed));

        if (n <= 0)
                return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : sd_event_exit(v->event, DONE);
        for (ssize_t i = 0; i < n; i++) {
                const char *key = memchr(keys, typed[i], sizeof(keys));

                if (typed[i] == 'q')
                        return sd_event_exit(v->event, DONE);
                if (key) {
                        v->top.sort = (TopSort) (key - keys);
                        draw(v);
                }
        }
        return 0;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        View *v = userdata;

        switch (si->ssi_signo) {
        case SIGWINCH:
                terminal_look_again();
                draw(v);
                return 0;
        case SIGTSTP:
                screen_leave();
                (void) raise(SIGSTOP);
                screen_enter();
                terminal_look_again();
                draw(v);
                return 0;
        case SIGINT:
                return sd_event_exit(v->event, DONE);
        }
        v->signal = (int) si->ssi_signo;
        return sd_event_exit(v->event, DONE);
}

static int watch_terminal(View *v) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP };
        sigset_t set;
        int r = 0;

        (void) sigemptyset(&set);
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
                (void) sigaddset(&set, signals[i]);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++)
                r = sd_event_add_signal(v->event, NULL, signals[i], on_signal, v);
        if (r >= 0 && isatty(STDIN_FILENO))
                r = sd_event_add_io(v->event, NULL, STDIN_FILENO, EPOLLIN, on_key, v);
        return r;
}

/* --- from begin to end --- */

static int read_number(const Client *c, const char *option, uint64_t min, uint64_t max, uint64_t *value) {
        const char *text = option_given(c, option, 0);

        if (!text || (parse_u64(text, 10, value) >= 0 && *value >= min && *value <= max))
                return 0;
        (void) client_fail("--%s=%s: expected a number from %u to %u", option, text, (unsigned) min, (unsigned) max);
        return USAGE;
}

static int prepare(View *v) {
        sd_bus *bus = v->client->bus;
        int r = sd_event_new(&v->event);

        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, QEMU1, NULL, DOMAIN_INTERFACE, "StatisticsUpdated", on_statistics, v);
        if (r >= 0)
                r = sd_bus_add_match(bus, NULL, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" QEMU1 "'", on_owner, v);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(bus, v->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_add_time(v->event, NULL, CLOCK_MONOTONIC, now_usec(CLOCK_MONOTONIC) + v->delay_usec + SETTLE_USEC, 10000, on_timer, v);
        if (r >= 0 && v->is_screen)
                r = watch_terminal(v);
        return r < 0 ? client_fail("%s", strerror(-r)) : 0;
}

static int watch(View *v) {
        int r = subscribe(v) ?: prepare(v);

        if (r != 0)
                return r;
        if (v->is_screen) {
                screen_enter();
                draw(v);
        }
        r = sd_event_loop(v->event);
        screen_leave();
        return r == DONE ? DONE : client_fail("the connection to the bus was lost");
}

int verb_top(Client *c, int argc, char **argv) {
        View v = { .client = c, .is_screen = terminal_is_screen() };
        uint64_t seconds = 2;
        int r = read_number(c, "delay", 1, 3600, &seconds) ?: read_number(c, "iterations", 1, 1000000, &v.iterations);

        v.delay_usec = seconds * SECOND_USEC;
        if (r == 0)
                r = watch(&v);
        (void) sd_bus_detach_event(c->bus);
        sd_event_unref(v.event);
        top_clear(&v.top);
        if (v.signal > 0) {
                sigset_t set;

                (void) sigemptyset(&set);
                (void) sigaddset(&set, v.signal);
                (void) signal(v.signal, SIG_DFL);
                (void) raise(v.signal);
                (void) sigprocmask(SIG_UNBLOCK, &set, NULL);
        }
        return r;
}
