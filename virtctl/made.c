/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "made.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "storage.h"
#include "str.h"

#define RETRIES 10u
#define RETRY_USEC 200000u

static void fill(sigset_t *set) {
        (void) sigemptyset(set);
        (void) sigaddset(set, SIGINT);
        (void) sigaddset(set, SIGTERM);
        (void) sigaddset(set, SIGHUP);
}

void made_begin(Made *m, Client *c) {
        sigset_t set;

        *m = (Made) { .client = c };
        fill(&set);
        m->held = sigprocmask(SIG_BLOCK, &set, NULL) >= 0;
}

void made_end(Made *m) {
        sigset_t set;

        m->volumes = strv_free(m->volumes);
        free(m->domain);
        m->domain = NULL;
        fill(&set);
        if (m->held)
                (void) sigprocmask(SIG_UNBLOCK, &set, NULL);
        m->held = false;
}

int made_stopped(const Made *m) {
        sigset_t set;

        if (!m->held || sigpending(&set) < 0 || (!sigismember(&set, SIGINT) && !sigismember(&set, SIGTERM) && !sigismember(&set, SIGHUP)))
                return 0;
        return client_fail("interrupted");
}

int made_add_volume(Made *m, const char *object) {
        return strv_push(&m->volumes, object) < 0 ? client_fail("out of memory") : 0;
}

int made_set_domain(Made *m, const char *object) {
        m->domain = strdup(object);
        return m->domain ? 0 : client_fail("out of memory");
}

/* One that runs after all: it was interrupted too late. */
static void end_domain(Client *c, const char *domain) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *job;

        if (ask(c, domain, DOMAIN_INTERFACE, "Terminate", NULL, &reply, "ta{sv}", UINT64_C(0), 0) >= 0 && sd_bus_message_read(reply, "o", &job) >= 0)
                (void) client_wait_job(c, job);
}

/* virtstoraged hears a moment later than we that a VM no longer uses it. */
static bool remove_volume(Client *c, const char *volume) {
        for (unsigned i = 0; i < RETRIES; i++) {
                if (ask(c, volume, STORAGE1_VOLUME, "Delete", NULL, NULL, "ta{sv}", UINT64_C(0), 0) >= 0)
                        return true;
                (void) usleep(RETRY_USEC);
        }
        return client_call(c, volume, STORAGE1_VOLUME, "Delete", NULL, "ta{sv}", UINT64_C(0), 0) == 0;
}

void made_undo(Made *m) {
        size_t n = strv_length(m->volumes), removed = 0;

        if (m->domain) {
                end_domain(m->client, m->domain);
                if (client_call(m->client, m->domain, DOMAIN_INTERFACE, "Undefine", NULL, "ta{sv}", UINT64_C(0), 0) == 0)
                        fprintf(stderr, "  The definition was removed again.\n");
        }
        for (size_t i = n; i-- > 0;)
                removed += remove_volume(m->client, m->volumes[i]);
        if (n > 0)
                fprintf(stderr, "  %zu of %zu new volume%s removed again.\n", removed, n, n == 1 ? " was" : "s were");
        m->volumes = strv_free(m->volumes);
}
