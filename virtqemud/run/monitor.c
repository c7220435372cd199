/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "monitor.h"

#include <limits.h>

#include "../device/disk.h"
#include "../device/memory.h"
#include "../plan/launch.h"
#include "../qmp/qmp-cmd.h"
#include "clock-keep.h"
#include "crash-dump.h"
#include "dump.h"
#include "events.h"
#include "fd-sweep.h"
#include "guest-agent.h"
#include "host-sleep.h"
#include "io-retry.h"
#include "manager.h"
#include "mem.h"
#include "operation.h"
#include "plug-journal.h"
#include "resize.h"
#include "start.h"
#include "status.h"
#include "stop.h"
#include "str.h"
#include "unplug.h"

#define NOT_TOLD _GUEST_EVENT_INVALID
#define TELL_TIMEOUT_USEC (30u * 1000 * 1000)

static void on_told(Qmp *q, json_t *result, const Fault *f, void *userdata) {
        Instance *i = userdata;

        if (!result)
                log_domain_warning(i->domain, "%s", fault_text(f));
}

void monitor_tell(Instance *i, const char *command, json_t *arguments) {
        int r;

        assert(i && command);

        if (!i->qmp) {
                json_decref(arguments);
                return;
        }
        /* No handle is kept: the Qmp dies with the Instance, so `i` outlives the answer. */
        r = qmp_send(i->qmp, command, arguments, TELL_TIMEOUT_USEC, on_told, i, NULL);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "can't send %s to QEMU: %m", command);
}

void monitor_end_on_shutdown(Instance *i, bool on) {
        assert(i && i->domain->live);

        if (launch_holds_on_shutdown(i->domain->live))
                monitor_tell(i, "set-action", json_pack("{s:s}", "shutdown", on ? "poweroff" : "pause"));
}

static StateReason why_it_stands(const Instance *i) {
        if (i->lease_lost)
                return REASON_LEASE_LOST;
        if (i->host_sleep)
                return REASON_HOST_SLEEP;
        if (i->domain->pause_reason)
                return REASON_IO_ERROR;
        return dump_is_under_way(i->domain) ? REASON_DUMP : REASON_USER;
}

static void on_stop(Instance *i, json_t *data) {
        Domain *d = i->domain;

        io_retry_stopped(i);
        /* A panic, an I/O error, the end or a sleep have set their own state; STOP only says that the vCPUs stand. */
        if (d->state == DOMAIN_RUNNING && !i->panicked)
                domain_set_state(d, DOMAIN_PAUSED, why_it_stands(i));
}

static void on_resume(Instance *i, json_t *data) {
        Domain *d = i->domain;
        bool slept = d->state == DOMAIN_PAUSED && d->reason == REASON_HOST_SLEEP;

        i->running_guest = true;
        i->lease_lost = i->host_sleep = false;
        if (d->state != DOMAIN_STARTING)
                fd_sweep(i);
        if (io_retry_resumed(i))
                return;
        free_and_replace(&d->pause_reason, NULL);
        if (d->state != DOMAIN_STARTING)
                domain_set_state(d, DOMAIN_RUNNING, slept || d->state == DOMAIN_PMSUSPENDED ? REASON_WAKEUP :
                                 d->reason == REASON_DUMP ? REASON_DUMP : REASON_USER);
        if (slept)
                host_sleep_resumed(d);
}

/* What comes after the guest's power off is the supervisor's to do: it is there also when we are not. */
static void on_shutdown(Instance *i, json_t *data) {
        const char *reason = json_string_value(json_object_get(data, "reason")) ?: "";

        log_domain_debug(i->domain, "QEMU shuts down: %s", reason);
        i->shutdown_seen = true;
        i->shutdown_by_guest = json_is_true(json_object_get(data, "guest"));
        if (streq(reason, "guest-panic"))
                i->panicked = true;
        else if (i->shutdown_by_guest)
                domain_set_state(i->domain, DOMAIN_SHUTDOWN, REASON_GUEST);
}

static void on_reset(Instance *i, json_t *data) {
        log_domain_info(i->domain, "guest reset");
        i->shutdown_seen = i->shutdown_by_guest = i->panicked = false;
        stop_guest_reset(i->domain);
}

static void on_panicked(Instance *i, json_t *data) {
        Domain *d = i->domain;
        const char *action = json_string_value(json_object_get(data, "action")) ?: "";

        i->panicked = true;
        /* Else QEMU ends by itself, or the supervisor resets the guest. */
        if (!streq(action, "pause") || !d->live || d->live->on_crash == LIFECYCLE_RESTART)
                return;
        domain_set_state(d, DOMAIN_CRASHED, REASON_PANICKED);
        crash_dump(i);
}

/* By what QEMU calls it: its id, or a block node of a disk. What is none of ours keeps its name, if it may be one. */
static const char *device_of(const DomainDef *def, const char *name) {
        for (size_t k = 0; def && name && k < def->devices.n; k++) {
                const Device *d = (const Device *) def->devices.items[k];
                const Disk *disk = device_as_disk(d);

                if (d->id && (streq(d->id, name) || (disk && blockdev_owns(disk, name))))
                        return d->id;
        }
        return name && strlen(name) <= NAME_MAX ? name : NULL;
}

static void on_io_error(Instance *i, json_t *data) {
        Domain *d = i->domain;
        const char *device = device_of(d->live, guest_event_device(data));
        const char *action = json_string_value(json_object_get(data, "action")) ?: "";
        bool no_space = json_is_true(json_object_get(data, "nospace"));
        const char *why = no_space ? "no space left" : json_string_value(json_object_get(data, "reason")) ?: "unknown";

        if (no_space)
                (void) json_object_set_new(data, "reason", json_string(why));
        if (streq(action, "stop")) {
                char *text = strf("I/O error on %s: %s", device ?: "?", why);

                if (text)
                        free_and_replace(&d->pause_reason, text);
                domain_set_state(d, DOMAIN_PAUSED, REASON_IO_ERROR);
                if (no_space)
                        io_retry_wait(i);
        }
}

static void on_suspend(Instance *i, json_t *data) {
        domain_set_state(i->domain, DOMAIN_PMSUSPENDED, REASON_GUEST);
}

static void on_wakeup(Instance *i, json_t *data) {
        fd_sweep(i);
        if (i->domain->state == DOMAIN_PMSUSPENDED)
                domain_set_state(i->domain, DOMAIN_RUNNING, REASON_WAKEUP);
}

static void on_watchdog(Instance *i, json_t *data) {
        const char *action = json_string_value(json_object_get(data, "action")) ?: "none";

        if (streq(action, "pause"))
                domain_set_state(i->domain, DOMAIN_PAUSED, REASON_WATCHDOG);
}

static void on_balloon(Instance *i, json_t *data) {
        json_t *actual = json_object_get(data, "actual");

        if (!i->domain->live || !json_is_integer(actual))
                return;
        i->domain->live->current_memory = (uint64_t) json_integer_value(actual);
        domain_changed(i->domain, DOMAIN_CHANGED_MEMORY);
}

/* By the guest, or by us: its definition says it as long as it runs. */
static void on_tray_moved(Instance *i, json_t *data) {
        const char *id = json_string_value(json_object_get(data, "id"));
        const Device *device = id && i->domain->live ? domain_find_device(i->domain->live, id) : NULL;
        Disk *disk = device ? device_as_disk(device) : NULL;

        if (!disk)
                return;
        disk->tray = json_is_true(json_object_get(data, "tray-open")) ? 2 : 0;
        free_and_replace(&i->domain->live_text, NULL);
        status_save(i->domain);
        domain_changed(i->domain, DOMAIN_CHANGED_LIVE);
}

static void on_memory_size(Instance *i, json_t *data) {
        const char *id = json_string_value(json_object_get(data, "id"));
        Device *device = id && i->domain->live ? domain_find_device(i->domain->live, id) : NULL;
        uint64_t bytes;

        if (!device || json_get_u64(data, "size", &bytes) < 0 || !memory_set_current(device, bytes))
                return;
        free_and_replace(&i->domain->live_text, NULL);
        status_save(i->domain);
        domain_changed(i->domain, DOMAIN_CHANGED_MEMORY);
}

/* What a clock that is the guest's own is set to stays, as its definition promises. QEMU counts from where it began. */
static void on_rtc_change(Instance *i, json_t *data) {
        const json_t *offset = json_object_get(data, "offset");
        Domain *d = i->domain;
        const DomainEvent *last = events_last(d, GUEST_EVENT_RTC_CHANGED);
        json_int_t before = last ? json_integer_value(json_object_get(last->details, "offset")) : 0;
        int64_t adjustment;

        if (!d->live || d->live->clock_offset != CLOCK_VARIABLE || !json_is_integer(offset) || llabs(json_integer_value(offset)) > INT32_MAX)
                return;
        adjustment = d->live->clock_adjustment == INTEGER_UNSET ? 0 : d->live->clock_adjustment;
        adjustment += json_integer_value(offset) - before;
        if (adjustment > INT32_MAX || adjustment < -INT32_MAX)
                return;
        clock_set(d, adjustment);
        (void) json_object_set_new(data, "adjustment", json_integer(adjustment));
}

static void on_dump_completed(Instance *i, json_t *data) {
        dump_completed(i->domain, data);
}

static void on_device_deleted(Instance *i, json_t *data) {
        const char *device = json_string_value(json_object_get(data, "device"));

        if (device)
                unplug_device_deleted(i, device);
        resize_device_gone(i->domain);
}

static void on_device_refused(Instance *i, json_t *data) {
        const char *device = json_string_value(json_object_get(data, "device"));

        if (device)
                unplug_device_refused(i, device);
}

/* Somebody in the guest has opened a channel, or closed it. */
static void on_port(Instance *i, json_t *data) {
        const char *id = json_string_value(json_object_get(data, "id"));

        if (id)
                guest_agent_port(i, id, json_is_true(json_object_get(data, "open")));
}

/* A new event is a row here: what follows from it, and what is told of it. Those without one are of no concern to a domain. */
static const struct {
        const char *name;
        void (*handle)(Instance *i, json_t *data);
        GuestEvent tell;
} events[] = {
        { "BALLOON_CHANGE", on_balloon, NOT_TOLD },
        { "BLOCK_IO_ERROR", on_io_error, GUEST_EVENT_IO_ERROR },
        { "BLOCK_WRITE_THRESHOLD", NULL, GUEST_EVENT_WRITE_THRESHOLD },
        { "DEVICE_DELETED", on_device_deleted, NOT_TOLD },
        { "DEVICE_UNPLUG_GUEST_ERROR", on_device_refused, NOT_TOLD },
        { "DEVICE_TRAY_MOVED", on_tray_moved, GUEST_EVENT_TRAY_MOVED },
        { "DUMP_COMPLETED", on_dump_completed, NOT_TOLD },
        { "GUEST_CRASHLOADED", NULL, GUEST_EVENT_CRASH_LOADED },
        { "GUEST_PANICKED", on_panicked, GUEST_EVENT_PANICKED },
        { "MEMORY_DEVICE_SIZE_CHANGE", on_memory_size, NOT_TOLD },
        { "MEMORY_FAILURE", NULL, GUEST_EVENT_MEMORY_FAILURE },
        { "RESET", on_reset, NOT_TOLD },
        { "RESUME", on_resume, NOT_TOLD },
        { "RTC_CHANGE", on_rtc_change, GUEST_EVENT_RTC_CHANGED },
        { "SHUTDOWN", on_shutdown, NOT_TOLD },
        { "STOP", on_stop, NOT_TOLD },
        { "SUSPEND", on_suspend, NOT_TOLD },
        { "SUSPEND_DISK", NULL, GUEST_EVENT_SUSPENDED_TO_DISK },
        { "VSERPORT_CHANGE", on_port, NOT_TOLD },
        { "WAKEUP", on_wakeup, NOT_TOLD },
        { "WATCHDOG", on_watchdog, GUEST_EVENT_WATCHDOG },
};

void monitor_event(Instance *i, const char *name, json_t *data) {
        assert(i && name);

        for (size_t k = 0; k < ARRAY_SIZE(events); k++)
                if (streq(events[k].name, name)) {
                        if (events[k].handle)
                                events[k].handle(i, data);
                        if (events[k].tell >= 0)
                                events_add(i->domain, events[k].tell, device_of(i->domain->live, guest_event_device(data)), data);
                        return;
                }
        log_domain_debug(i->domain, "QEMU event %s", name);
}

/* What a QEMU that is not running stands for. */
static const struct {
        QemuState qemu;
        DomainState state;
        StateReason reason;
} stopped_states[] = {
        { QEMU_STATE_SUSPENDED, DOMAIN_PMSUSPENDED, REASON_GUEST },
        { QEMU_STATE_SHUTDOWN, DOMAIN_SHUTDOWN, REASON_GUEST },
        { QEMU_STATE_GUEST_PANICKED, DOMAIN_CRASHED, REASON_PANICKED },
        { QEMU_STATE_IO_ERROR, DOMAIN_PAUSED, REASON_IO_ERROR },
        { QEMU_STATE_WATCHDOG, DOMAIN_PAUSED, REASON_WATCHDOG },
};

static bool lacks_space(const Domain *d) {
        const DomainEvent *last = events_last(d, GUEST_EVENT_IO_ERROR);

        return last && json_is_true(json_object_get(last->details, "nospace"));
}

/* The state of a QEMU we did not watch from its beginning, or lost sight of for a while. */
static void adopt_state(Instance *i, const QmpStatus *status) {
        Domain *d = i->domain;

        if (status->running) {
                i->running_guest = true;
                domain_set_state(d, DOMAIN_RUNNING, d->state == DOMAIN_RUNNING ? d->reason : REASON_UNKNOWN);
                return;
        }
        for (size_t k = 0; k < ARRAY_SIZE(stopped_states); k++)
                if (stopped_states[k].qemu == status->state) {
                        domain_set_state(d, stopped_states[k].state, stopped_states[k].reason);
                        i->panicked = stopped_states[k].reason == REASON_PANICKED;
                        if (i->panicked)
                                crash_dump(i);
                        if (stopped_states[k].reason == REASON_IO_ERROR && lacks_space(d))
                                io_retry_wait(i);
                        return;
                }
        domain_set_state(d, DOMAIN_PAUSED, d->state == DOMAIN_PAUSED ? d->reason : REASON_UNKNOWN);
}

static void on_status(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Instance *i = userdata;
        QmpStatus status;

        if (!result || qmp_read_status(result, &status, &f) < 0) {
                log_domain_warning(i->domain, "%s", fault_text(result ? &f : why));
                return;
        }
        if (i->qemu.pid == 0 && instance_find_qemu(i, NULL) < 0)
                log_domain_warning(i->domain, "can't find QEMU's process");
        dump_look(i->domain);
        adopt_state(i, &status);
        host_sleep_adopted(i->domain);
        if (i->domain->operation)
                unplug_look(i);
        else
                plug_journal_take_up(i);
        domain_changed(i->domain, DOMAIN_CHANGED_LIVE);
}

void monitor_ready(Instance *i) {
        int r;

        assert(i);

        guest_agent_look(i);
        if (start_monitor_ready(i->domain))
                return;
        r = qmp_send(i->qmp, "query-status", NULL, TELL_TIMEOUT_USEC, on_status, i, NULL);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "can't ask QEMU for its state: %m");
}

void monitor_closed(Instance *i, const Fault *why) {
        assert(i && why);

        start_monitor_closed(i->domain, why);
}
