/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "service.h"
#include "show.h"
#include "str.h"
#include "values.h"

/* Waiting for the end of a job, with a bar that shows how far it is. */

#define JOB_INTERFACE "org.virtbus.job1"
#define SHOW_AFTER_USEC UINT64_C(500000)   /* what is over sooner needs no bar */
#define LOOK_USEC UINT64_C(500000)
#define BAR 24

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig) {
        interrupted = 1;
}

/* Ends of jobs are listened for from the beginning: one may come before the answer that names the job has been read. */
static int on_completed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *result, *name, *message;
        Client *c = userdata;

        if (sd_bus_message_read(m, "sss", &result, &name, &message) >= 0)
                (void) json_object_set_new(c->ended, sd_bus_message_get_path(m),
                                           json_string(streq(result, "done") ? "" : *message ? message : result));
        return 0;
}

int client_watch_jobs(Client *c) {
        const Service *s;
        int r = 0;

        c->ended = json_object();
        for (size_t i = 0; r >= 0 && (s = service_at(i)); i++)
                if (s->has_jobs)
                        r = sd_bus_match_signal(c->bus, NULL, s->bus_name, NULL, JOB_INTERFACE, "Completed", on_completed, c);
        return r;
}

/* Whoever holds signals back has something to clear away, and is not left in the middle. */
static int cancel(Client *c, const char *job, bool held) {
        interrupted = 0;
        fprintf(stderr, held ? "Cancelling.\n" : "Cancelling; press Ctrl-C again to leave it running.\n");
        (void) signal(SIGINT, held ? SIG_IGN : SIG_DFL);
        return client_call(c, job, JOB_INTERFACE, "Cancel", NULL, "ta{sv}", UINT64_C(0), 0);
}

/* --- the bar --- */

static void print_bar(const json_t *job) {
        double progress = json_number_value(json_object_get(job, "Progress"));
        uint64_t done = show_number(job, "BytesDone"), rate = show_number(job, "Rate"), end = show_number(job, "ExpectedEndTimestamp");
        uint64_t now = now_usec(CLOCK_REALTIME);
        char bytes[32], speed[32], left[64] = "";

        fprintf(stderr, "\r\033[K%s", show_text(job, "Operation"));
        if (progress >= 0 && progress <= 1) {
                int full = (int) (progress * BAR + 0.5);

                fprintf(stderr, " [%.*s%*s] %3.0f%%", full, "########################", BAR - full, "", progress * 100);
        } else if (*show_text(job, "Phase"))
                fprintf(stderr, ": %s", show_text(job, "Phase"));
        if (done > 0) {
                format_size(done, bytes, sizeof(bytes));
                format_size(rate, speed, sizeof(speed));
                fprintf(stderr, "  %s  %s/s", bytes, speed);
        }
        if (end > now) {
                format_age(end - now, left, sizeof(left));
                fprintf(stderr, "  %s left", left);
        }
        (void) fflush(stderr);
}

/* A daemon that was restarted has forgotten its jobs. */
json_t *client_look_at_job(Client *c, const char *job) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(c->bus, service_of(job)->bus_name, job, "org.freedesktop.DBus.Properties", "GetAll", &error, &reply, "s",
                                   JOB_INTERFACE);

        if (r < 0)
                return sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT) || sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                       sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_PROPERTY) || sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_METHOD) ||
                       sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_INTERFACE) ? NULL : json_object();
        return value_to_json(reply);
}

/* --- waiting --- */

static int wait_for_message(Client *c) {
        int r = sd_bus_process(c->bus, NULL);

        if (r == 0)
                r = sd_bus_wait(c->bus, LOOK_USEC);
        return r == -EINTR ? 0 : r;
}

static void clear_bar(bool shown) {
        if (shown)
                fputs("\r\033[K", stderr);
}

int client_wait_job(Client *c, const char *job) {
        const struct sigaction interrupt = { .sa_handler = on_interrupt };
        bool has_bar = isatty(STDERR_FILENO) && !c->quiet, shown = false, gone = false, held;
        uint64_t begun = now_usec(CLOCK_MONOTONIC);
        const json_t *ended;
        sigset_t catch, before;
        int r = 0;

        if (streq(job, "/") || c->no_wait)
                return 0;
        (void) sigaction(SIGINT, &interrupt, NULL);
        (void) sigemptyset(&catch);
        (void) sigaddset(&catch, SIGINT);
        (void) sigprocmask(SIG_UNBLOCK, &catch, &before);
        held = sigismember(&before, SIGINT) == 1;
        while (r >= 0 && !gone && !(ended = json_object_get(c->ended, job))) {
                r = wait_for_message(c);
                if (interrupted) {
                        clear_bar(shown);
                        shown = has_bar = false;
                        if (cancel(c, job, held) != 0)
                                break;
                }
                if (r == 0 && now_usec(CLOCK_MONOTONIC) - begun >= SHOW_AFTER_USEC && !json_object_get(c->ended, job)) {
                        json_auto_t *said = client_look_at_job(c, job);

                        /* Its end may have come before the answer, and not be read yet. */
                        while (!said && sd_bus_process(c->bus, NULL) > 0)
                                ;
                        gone = !said && !json_object_get(c->ended, job);
                        if (said && has_bar && json_object_size(said) > 0) {
                                print_bar(said);
                                shown = true;
                        }
                }
        }
        clear_bar(shown);
        (void) sigprocmask(SIG_SETMASK, &before, NULL);
        (void) signal(SIGINT, SIG_DFL);
        if (gone)
                return client_fail("%s has forgotten about %s", service_of(job)->daemon, job);
        if (r < 0)
                return client_fail("the connection was lost: %s", strerror(-r));
        return !ended || *json_string_value(ended) ? client_fail("%s", ended ? json_string_value(ended) : "interrupted") : 0;
}
