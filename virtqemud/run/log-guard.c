/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-guard.h"

#include "log.h"
#include "mem.h"
#include "sdbus.h"

#define LOG1_NAME "org.virtbus.log1"
#define DBUS "org.freedesktop.DBus"
#define DBUS_PATH "/org/freedesktop/DBus"
#define AGAIN_USEC UINT64_C(1000000)
#define AGAIN_MAX_USEC (UINT64_C(60) * 1000 * 1000)

struct LogGuard {
        sd_bus *bus;
        sd_bus_slot *match, *call;
        sd_event_source *again;      /* it could not be started: another try */
        uint64_t pause;              /* before that; 0: the last one was good */
        LogGuardNeeded needed;
        void *userdata;
};

LogGuard *log_guard_free(LogGuard *g) {
        if (!g)
                return NULL;
        sd_bus_slot_unref(g->match);
        sd_bus_slot_unref(g->call);
        sd_event_source_disable_unref(g->again);
        sd_bus_unref(g->bus);
        free(g);
        return NULL;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        LogGuard *g = userdata;

        g->again = sd_event_source_disable_unref(g->again);
        log_guard_check(g);
        return 0;
}

/* It may have been killed before it had its name, of which nobody else tells. */
static void try_again(LogGuard *g) {
        int r;

        g->pause = g->pause == 0 ? AGAIN_USEC : MIN(2 * g->pause, AGAIN_MAX_USEC);
        r = sd_event_add_time_relative(sd_bus_get_event(g->bus), &g->again, CLOCK_MONOTONIC, g->pause, 0, on_again, g);
        if (r < 0)
                (void) log_warning_errno(r, "can't wait for another try to start virtlogd: %m");
}

static int on_started(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        LogGuard *g = userdata;

        g->call = sd_bus_slot_unref(g->call);
        if (!e) {
                g->pause = 0;
                return 0;
        }
        if (g->pause == 0)
                log_warning("virtlogd does not run, output of guests may be held up: %s", e->message);
        try_again(g);
        return 0;
}

void log_guard_check(LogGuard *g) {
        int r;

        if (!g || g->call || g->again || !g->needed(g->userdata))
                return;
        r = sd_bus_call_method_async(g->bus, &g->call, DBUS, DBUS_PATH, DBUS, "StartServiceByName", on_started, g, "su", LOG1_NAME,
                                     UINT32_C(0));
        if (r < 0)
                (void) log_warning_errno(r, "can't ask for virtlogd: %m");
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;
        LogGuard *g = userdata;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0)
                return 0;
        if (*after)
                g->again = sd_event_source_disable_unref(g->again);
        else
                log_guard_check(g);
        return 0;
}

int log_guard_new(sd_bus *bus, LogGuardNeeded needed, void *userdata, LogGuard **ret) {
        LogGuard *g = new0(LogGuard, 1);
        int r;

        assert(bus && needed && ret);

        if (!g)
                return -ENOMEM;
        *g = (LogGuard) { .bus = sd_bus_ref(bus), .needed = needed, .userdata = userdata };
        r = sd_bus_add_match_async(bus, &g->match,
                                   "type='signal',sender='" DBUS "',path='" DBUS_PATH "',interface='" DBUS "',"
                                   "member='NameOwnerChanged',arg0='" LOG1_NAME "'", on_owner_changed, NULL, g);
        if (r < 0) {
                log_guard_free(g);
                return r;
        }
        *ret = g;
        return 0;
}
