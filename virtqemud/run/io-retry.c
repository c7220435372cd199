/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io-retry.h"

#include <inttypes.h>

#include "manager.h"
#include "mem.h"

struct IORetry {
        Instance *instance;
        sd_event_source *timer;      /* until the next try, or while the guest proves itself */
        uint64_t delay_usec;
        bool trying;                 /* QEMU was told to go on */
};

static bool is_waiting(const Domain *d) {
        return d->state == DOMAIN_PAUSED && d->reason == REASON_IO_ERROR && !d->instance->lease_lost;
}

static int arm(IORetry *t, uint64_t usec);

static void on_cont(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;

        if (!why)
                return;
        log_domain_debug(i->domain, "%s", fault_text(why));
        io_retry_stopped(i);
        if (is_waiting(i->domain))
                io_retry_wait(i);
}

static void try_again(IORetry *t) {
        Instance *i = t->instance;

        t->trying = true;
        if (domain_ask(i->domain, "cont", NULL, on_cont, i, NULL) >= 0)
                return;
        t->trying = false;
        io_retry_wait(i);
}

static void proven(IORetry *t) {
        Domain *d = t->instance->domain;

        t->trying = false;
        t->delay_usec = 0;
        if (is_waiting(d))
                domain_set_state(d, DOMAIN_RUNNING, REASON_SPACE_RETURNED);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        IORetry *t = userdata;
        Domain *d = t->instance->domain;

        t->timer = sd_event_source_disable_unref(t->timer);
        if (t->trying)
                proven(t);
        else if (is_waiting(d) && d->operation) /* which may rely on a guest that stands */
                (void) arm(t, t->delay_usec);
        else if (is_waiting(d))
                try_again(t);
        return 0;
}

static int arm(IORetry *t, uint64_t usec) {
        int r;

        t->timer = sd_event_source_disable_unref(t->timer);
        r = sd_event_add_time_relative(t->instance->domain->manager->event, &t->timer, CLOCK_MONOTONIC, usec, 0, on_timer, t);
        if (r < 0)
                (void) log_domain_warning_errno(t->instance->domain, r, "it will not go on by itself: %m");
        return r;
}

void io_retry_wait(Instance *i) {
        uint64_t first = i->domain->manager->settings.no_space_retry_usec, most = MAX(first, (uint64_t) IO_RETRY_MAX_USEC);
        IORetry *t;

        if (first == 0)
                return;
        if (!i->io_retry)
                i->io_retry = new0(IORetry, 1);
        t = i->io_retry;
        if (!t) {
                (void) log_oom();
                return;
        }
        t->instance = i;
        if (t->timer && !t->trying) /* one of several requests that fail together */
                return;
        t->trying = false;
        t->delay_usec = MIN(t->delay_usec > 0 ? t->delay_usec * 2 : first, most);
        (void) arm(t, t->delay_usec);
}

bool io_retry_resumed(Instance *i) {
        IORetry *t = i->io_retry;

        if (t && t->trying)
                return arm(t, IO_RETRY_PROOF_USEC) >= 0;
        i->io_retry = io_retry_free(t);
        return false;
}

void io_retry_stopped(Instance *i) {
        IORetry *t = i->io_retry;

        if (!t || !t->trying)
                return;
        t->trying = false;
        t->timer = sd_event_source_disable_unref(t->timer);
}

IORetry *io_retry_free(IORetry *t) {
        if (!t)
                return NULL;
        sd_event_source_disable_unref(t->timer);
        free(t);
        return NULL;
}
