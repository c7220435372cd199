/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lease-guard.h"

#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "monitor.h"
#include "sdbus.h"
#include "start.h"
#include "stop.h"
#include "str.h"

#define LOCK1_NAME "org.virtbus.lock1"
#define LOCK1_ROOT "/org/virtbus/lock1"
#define LOCK1_MANAGER LOCK1_NAME ".Manager"
#define PAUSE_USEC UINT64_C(10000000)      /* for QEMU to stop its guest */

struct LeaseGuard {
        Manager *manager;
        sd_bus_slot *match;
};

LeaseGuard *lease_guard_free(LeaseGuard *g) {
        if (!g)
                return NULL;
        sd_bus_slot_unref(g->match);
        free(g);
        return NULL;
}

static void on_ended(Domain *d, int error, const Fault *f, void *userdata) {
        if (error < 0)
                log_domain_warning(d, "%s", fault_text(f));
}

/* Whoever has the lease now must be able to rely on it that this guest writes no more. */
static void end_instead(Domain *d, const char *why) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        (void) domain_warn(d, "QEMU can't be told to pause (%s): it is ended, for another VM may use the image", why);
        if (stop_terminate(d, on_ended, NULL, &f) < 0)
                log_domain_warning(d, "%s", fault_text(&f));
}

static void on_paused(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;

        if (why && i->domain->state == DOMAIN_RUNNING)
                end_instead(i->domain, fault_text(why));
}

static void pause_guest(Domain *d, const char *image) {
        unsigned flags;
        char *text;
        int r;

        if (start_is_under_way(d, &flags)) {
                Fault f = FAULT_INIT;

                fault_set(&f, FAULT_LOCKSPACE, EIO, "the lease of %s was lost while %s was started", image, d->name);
                operation_cancel(d->operation, &f);
                return;
        }
        if (d->state != DOMAIN_RUNNING)
                return;
        d->instance->lease_lost = true;
        text = strf("the lease of %s is lost", image);
        if (text)
                free_and_replace(&d->pause_reason, text);
        if (!d->instance->monitor_ready) {
                end_instead(d, "its monitor does not answer");
                return;
        }
        /* No handle is kept: the Qmp dies with the Instance, so that outlives the answer. */
        r = qmp_send(d->instance->qmp, "stop", NULL, PAUSE_USEC, on_paused, d->instance, NULL);
        if (r < 0)
                end_instead(d, strerror(-r));
}

static void on_ended_to_start(Domain *d, int error, const Fault *f, void *userdata) {
        if (error >= 0)
                start_again(d);
        else
                log_domain_warning(d, "it is not started again: %s", fault_text(f));
}

static void act(Domain *d, const char *image) {
        LockFailure action = (LockFailure) (d->live->on_lockfailure ?: d->manager->settings.on_lease_lost);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = 0;

        (void) domain_warn(d, "the lease of %s is lost: another VM may use it (%s)", image, lock_failure_to_string(action));
        switch (action) {
        case LOCK_FAILURE_PAUSE:
                pause_guest(d, image);
                break;
        case LOCK_FAILURE_POWEROFF:
                r = stop_terminate(d, on_ended, NULL, &f);
                break;
        case LOCK_FAILURE_RESTART:
                r = stop_terminate(d, on_ended_to_start, NULL, &f);
                break;
        case LOCK_FAILURE_IGNORE:
        case LOCK_FAILURE_NONE:
        case _LOCK_FAILURE_MAX:
        case _LOCK_FAILURE_INVALID:
                break;
        }
        if (r < 0)
                log_domain_warning(d, "%s", fault_text(&f));
}

static int on_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *lockspace, *resource, *name, *image;
        LeaseGuard *g = userdata;
        const void *bytes;
        sd_id128_t uuid;
        size_t n;
        Domain *d;

        if (sd_bus_message_read(m, "ss", &lockspace, &resource) < 0 || sd_bus_message_read_array(m, 'y', &bytes, &n) < 0 ||
            sd_bus_message_read(m, "ss", &name, &image) < 0 || n != sizeof(uuid))
                return 0;
        memcpy(&uuid, bytes, n);
        d = manager_find_uuid(g->manager, uuid);
        /* One that was lost before a start has any is the last run's. */
        if (d && d->instance && d->live && !start_is_without_leases(d))
                act(d, *image ? image : resource);
        return 0;
}

int lease_guard_new(Manager *m, LeaseGuard **ret) {
        LeaseGuard *g = new0(LeaseGuard, 1);
        int r;

        assert(m && m->bus && ret);

        if (!g)
                return -ENOMEM;
        g->manager = m;
        r = sd_bus_match_signal_async(m->bus, &g->match, LOCK1_NAME, LOCK1_ROOT, LOCK1_MANAGER, "LeaseLost", on_lost, NULL, g);
        if (r < 0) {
                lease_guard_free(g);
                return r;
        }
        *ret = g;
        return 0;
}
