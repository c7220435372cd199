/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "made.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "storage.h"
#include "str.h"

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

void made_undo(Made *m) {
        size_t n = strv_length(m->volumes), removed = 0;

        if (m->domain && client_call(m->client, m->domain, DOMAIN_INTERFACE, "Undefine", NULL, "ta{sv}", UINT64_C(0), 0) == 0)
                fprintf(stderr, "  The definition was removed again.\n");
        for (size_t i = n; i-- > 0;)
                removed += client_call(m->client, m->volumes[i], STORAGE1_VOLUME, "Delete", NULL, "ta{sv}", UINT64_C(0), 0) == 0;
        if (n > 0)
                fprintf(stderr, "  %zu of %zu new volume%s removed again.\n", removed, n, n == 1 ? " was" : "s were");
        m->volumes = strv_free(m->volumes);
}
