/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-sleep.h"

#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "guest-agent.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "monitor.h"
#include "sdbus.h"

#define LOGIN1 "org.freedesktop.login1"
#define LOGIN1_PATH "/org/freedesktop/login1"
#define LOGIN1_MANAGER LOGIN1 ".Manager"
#define STOP_USEC (UINT64_C(3) * 1000 * 1000)     /* logind waits for 5 s; a QEMU that hangs keeps no host awake */

struct HostSleep {
        Manager *manager;
        sd_bus *bus;
        sd_bus_slot *heard, *owner, *call;
        sd_event_source *deadline;
        int lock;                    /* -1: none */
        unsigned stopping;           /* guests that have not stopped yet */
        bool asleep;                 /* the host is about to sleep, or does */
};

HostSleep *host_sleep_free(HostSleep *s) {
        if (!s)
                return NULL;
        sd_bus_slot_unref(s->heard);
        sd_bus_slot_unref(s->owner);
        sd_bus_slot_unref(s->call);
        sd_event_source_disable_unref(s->deadline);
        fd_close(s->lock);
        sd_bus_unref(s->bus);
        free(s);
        return NULL;
}

/* --- the lock --- */

static int on_lock(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        HostSleep *s = userdata;
        int fd;

        s->call = sd_bus_slot_unref(s->call);
        if (sd_bus_message_is_method_error(reply, NULL)) {
                log_debug("guests are not paused when the host sleeps: %s", sd_bus_message_get_error(reply)->message);
                return 0;
        }
        if (sd_bus_message_read(reply, "h", &fd) >= 0) {
                fd_close(s->lock);
                s->lock = fd_copy(fd);
        }
        return 0;
}

static void take_lock(HostSleep *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(s->bus, &m, LOGIN1, LOGIN1_PATH, LOGIN1_MANAGER, "Inhibit");

        s->call = sd_bus_slot_unref(s->call);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_message_append(m, "ssss", "sleep", "Virtbus", "Guests are paused before", "delay");
        if (r >= 0)
                r = sd_bus_call_async(s->bus, &s->call, m, on_lock, s, 0);
        if (r < 0)
                log_warning("can't ask logind to wait before the host sleeps: %s", strerror(-r));
}

static void release_lock(HostSleep *s) {
        s->deadline = sd_event_source_disable_unref(s->deadline);
        s->lock = fd_close(s->lock);
}

/* --- going to sleep --- */

static void on_stopped(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        HostSleep *s = userdata;

        if (s->stopping > 0 && --s->stopping == 0)
                release_lock(s);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        HostSleep *s = userdata;

        log_warning("the host goes to sleep before %u guests were paused", s->stopping);
        s->stopping = 0;
        release_lock(s);
        return 0;
}

static void pause_guest(HostSleep *s, Domain *d) {
        if (d->state != DOMAIN_RUNNING || !d->instance || !d->instance->monitor_ready)
                return;
        d->instance->host_sleep = true;
        if (qmp_send(d->instance->qmp, "stop", NULL, STOP_USEC, on_stopped, s, NULL) >= 0)
                s->stopping++;
}

static void fall_asleep(HostSleep *s) {
        s->asleep = true;
        s->stopping = 0;
        if (s->manager->settings.pause_on_sleep)
                REGISTRY_FOREACH(Domain, d, s->manager->domains)
                        pause_guest(s, d);
        if (s->stopping == 0)
                release_lock(s);
        else
                (void) sd_event_add_time_relative(s->manager->event, &s->deadline, CLOCK_MONOTONIC, STOP_USEC, 0, on_deadline, s);
}

/* --- waking up --- */

/* Timer interrupts that it has missed are not made up for: its clock is set. */
static void let_go_on(Domain *d) {
        if (d->state != DOMAIN_PAUSED || d->reason != REASON_HOST_SLEEP || !d->instance || !d->instance->monitor_ready)
                return;
        monitor_tell(d->instance, "rtc-reset-reinjection", NULL);
        monitor_tell(d->instance, "cont", NULL);
}

static void wake_up(HostSleep *s) {
        s->asleep = false;
        s->stopping = 0;
        release_lock(s);
        REGISTRY_FOREACH(Domain, d, s->manager->domains)
                let_go_on(d);
        take_lock(s);
}

static void on_time_set(json_t *result, const Fault *why, void *userdata) {
        if (why)
                log_notice("%s", fault_text(why));
}

void host_sleep_resumed(Domain *d) {
        struct timespec now;

        assert(d);

        if (clock_gettime(CLOCK_REALTIME, &now) == 0 && domain_agent_state(d) != AGENT_ABSENT)
                (void) domain_ask_guest(d, "guest-set-time", json_pack("{s:I}", "time", (json_int_t) now.tv_sec * 1000000000 + now.tv_nsec), 0,
                                        on_time_set, NULL, NULL, NULL);
}

void host_sleep_adopted(Domain *d) {
        assert(d);

        if (!d->manager->host_sleep || !d->manager->host_sleep->asleep)
                let_go_on(d);
}

/* --- hearing --- */

static int on_prepare(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int before;

        if (sd_bus_message_read(m, "b", &before) < 0)
                return 0;
        if (before)
                fall_asleep(userdata);
        else
                wake_up(userdata);
        return 0;
}

/* A logind that was started anew knows of no lock. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *was, *is;

        if (sd_bus_message_read(m, "sss", &name, &was, &is) >= 0 && *is)
                take_lock(userdata);
        return 0;
}

int host_sleep_new(Manager *m, HostSleep **ret) {
        _cleanup_(host_sleep_freep) HostSleep *s = new0(HostSleep, 1);
        sd_bus *bus = m->user ? manager_network_bus(m) : m->bus;
        int r;

        assert(ret);

        if (!s)
                return -ENOMEM;
        if (!bus)
                return 0;
        *s = (HostSleep) { .manager = m, .bus = sd_bus_ref(bus), .lock = -1 };
        r = sd_bus_match_signal_async(bus, &s->heard, LOGIN1, LOGIN1_PATH, LOGIN1_MANAGER, "PrepareForSleep", on_prepare, NULL, s);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &s->owner,
                                           "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                           "member='NameOwnerChanged',arg0='" LOGIN1 "'", on_owner, NULL, s);
        if (r < 0)
                return r;
        take_lock(s);
        *ret = TAKE_PTR(s);
        return 0;
}
