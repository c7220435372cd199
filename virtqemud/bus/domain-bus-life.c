/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../run/instance.h"
#include "../run/start.h"
#include "../run/stop.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "service.h"
#include "str.h"

/* The power verbs of a domain. Those that are over in well under a second answer when they are done (Start, Terminate, Suspend, Resume,
 * Reset), those that wait for the guest answer with a job at once (Shutdown, Reboot); with NO_WAIT Start and Terminate do so, too. */

/* Shows an operation that has just begun as a job, which answers the call. */
static int attach_job(Operation *o, sd_bus_message *m, bool early, bool with_object, sd_bus_error *error) {
        Service *s = o->domain->manager->watch_userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        char path[DOMAIN_PATH_MAX];
        const JobSpec spec = {
                .operation = o->name, .object = domain_path(o->domain, path), .call = m, .reply_early = early,
                .reply_object = with_object, .cancel = service_cancel_operation, .userdata = o,
        };
        Job *j;
        int r;

        r = job_new(s->jobs, &spec, &j, &f);
        if (r < 0) {
                Fault why = FAULT_INIT;

                (void) fault_copy(&why, &f);
                operation_cancel(o, &why);
                return fault_to_bus(&f, r, error);
        }
        o->watcher = j;
        domain_changed(o->domain, DOMAIN_CHANGED_OPERATION);
        return 1;
}

int domain_start_call(Domain *d, sd_bus_message *m, uint64_t flags, bool paused, bool new_domain, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o;
        int r;

        r = start_domain(d, paused ? START_PAUSED : 0, &o, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : attach_job(o, m, flags & BUS_FLAG_NO_WAIT, new_domain, error);
}

static int read_mode(const char *text, StopMode *ret, Fault *f) {
        StopMode mode = *text ? stop_mode_from_string(text) : STOP_ANY;

        if (mode < 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no way to ask a guest, expected acpi, agent or any", text);
        *ret = mode;
        return 0;
}

int domain_shutdown_call(Domain *d, sd_bus_message *m, const char *text, uint64_t timeout_usec, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        StopMode mode = STOP_ANY;
        Operation *o;
        int r = read_mode(text, &mode, &f);

        if (r >= 0)
                r = stop_shutdown(d, mode, timeout_usec, &o, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : attach_job(o, m, true, false, error);
}

int domain_reboot_call(Domain *d, sd_bus_message *m, const char *text, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        StopMode mode = STOP_ANY;
        Operation *o;
        int r = read_mode(text, &mode, &f);

        if (r >= 0)
                r = stop_reboot(d, mode, &o, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : attach_job(o, m, true, false, error);
}

/* --- calls that wait for something short; they keep the message --- */

static void answer_path(sd_bus_message *m, int error, const Fault *f) {
        static const Fault none = FAULT_INIT;

        if (error < 0)
                (void) bus_reply_fault(m, f ?: &none, error);
        else
                (void) sd_bus_reply_method_return(m, "o", "/");
        sd_bus_message_unref(m);
}

static void on_terminated(Domain *d, int error, const Fault *f, void *userdata) {
        if (userdata)
                answer_path(userdata, error, f);
}

int domain_terminate_call(Domain *d, sd_bus_message *m, uint64_t flags, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        bool wait = !(flags & BUS_FLAG_NO_WAIT);
        int r;

        r = stop_terminate(d, on_terminated, wait ? sd_bus_message_ref(m) : NULL, &f);
        if (r < 0) {
                if (wait)
                        sd_bus_message_unref(m);
                return fault_to_bus(&f, r, error);
        }
        return wait ? 1 : sd_bus_reply_method_return(m, "o", "/");
}

static void on_command_done(Qmp *q, json_t *result, const Fault *f, void *userdata) {
        answer_path(userdata, result ? 0 : -EIO, f);
}

/* One QMP command whose answer is ours. */
static int forward_command(Domain *d, sd_bus_message *m, const char *command, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!d->instance || !d->instance->monitor_ready) {
                r = fault_set(&f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s%s", d->name, domain_state_to_string(d->state),
                              d->instance ? " and QEMU does not answer" : "");
                return fault_to_bus(&f, r, error);
        }
        r = qmp_send_always(d->instance->qmp, command, NULL, 0, on_command_done, sd_bus_message_ref(m));
        if (r < 0) {
                sd_bus_message_unref(m);
                return fault_to_bus(&f, r, error);
        }
        return 1;
}

int domain_suspend_call(Domain *d, sd_bus_message *m, bool suspend, sd_bus_error *error) {
        DomainState wanted = suspend ? DOMAIN_RUNNING : DOMAIN_PAUSED;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (d->state == DOMAIN_PMSUSPENDED && !suspend)
                return forward_command(d, m, "system_wakeup", error);
        if (d->state != wanted) {
                r = fault_set(&f, FAULT_INVALID_STATE, EINVAL, "%s is %s, not %s", d->name, domain_state_to_string(d->state),
                              domain_state_to_string(wanted));
                return fault_to_bus(&f, r, error);
        }
        return forward_command(d, m, suspend ? "stop" : "cont", error);
}

/* --- methods --- */

BUS_HANDLER(method_start, ACTION_POWER) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int paused = false, r;
        uint64_t flags;
        const BusOption options[] = { { "paused", 'b', &paused } };

        r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);
        return r < 0 ? fault_to_bus(&f, r, error) : domain_start_call(userdata, m, flags, paused, false, error);
}

BUS_HANDLER(method_shutdown, ACTION_POWER) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags, timeout = 0;
        const BusOption options[] = { { "timeout-usec", 't', &timeout } };
        const char *mode;
        int r;

        r = sd_bus_message_read(m, "s", &mode);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);
        return r < 0 ? fault_to_bus(&f, r, error) : domain_shutdown_call(userdata, m, mode, timeout, error);
}

BUS_HANDLER(method_reboot, ACTION_POWER) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *mode = NULL;
        const BusOption options[] = { { "mode", 's', &mode } };
        uint64_t flags;
        int r = bus_read_options(m, BUS_FLAG_NO_WAIT, &flags, options, ARRAY_SIZE(options), &f);

        return r < 0 ? fault_to_bus(&f, r, error) : domain_reboot_call(userdata, m, mode ?: "", error);
}

BUS_HANDLER(method_reset, ACTION_POWER) {
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        return r < 0 ? r : forward_command(userdata, m, "system_reset", error);
}

BUS_HANDLER(method_terminate, ACTION_POWER) {
        uint64_t flags;
        int r = bus_read_flags(m, BUS_FLAG_NO_WAIT | BUS_FLAG_FORCE, &flags, error);

        return r < 0 ? r : domain_terminate_call(userdata, m, flags, error);
}

BUS_HANDLER(method_suspend, ACTION_POWER) {
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        return r < 0 ? r : domain_suspend_call(userdata, m, true, error);
}

BUS_HANDLER(method_resume, ACTION_POWER) {
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        return r < 0 ? r : domain_suspend_call(userdata, m, false, error);
}

BUS_HANDLER(method_inject_nmi, ACTION_POWER) {
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        return r < 0 ? r : forward_command(userdata, m, "inject-nmi", error);
}

#define FLAGS_NAMES SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
#define VERB(member, handler)                                                                           \
        SD_BUS_METHOD_WITH_NAMES(member, "ta{sv}", FLAGS_NAMES, "o", SD_BUS_PARAM(job), handler, SD_BUS_VTABLE_UNPRIVILEGED)

const sd_bus_vtable domain_life_vtable[] = {
        SD_BUS_VTABLE_START(0),
        VERB("Start", method_start),
        SD_BUS_METHOD_WITH_NAMES("Shutdown", "sta{sv}", SD_BUS_PARAM(mode) FLAGS_NAMES, "o", SD_BUS_PARAM(job), method_shutdown,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        VERB("Reboot", method_reboot),
        VERB("Reset", method_reset),
        VERB("Terminate", method_terminate),
        VERB("Suspend", method_suspend),
        VERB("Resume", method_resume),
        VERB("InjectNMI", method_inject_nmi),
        SD_BUS_SIGNAL_WITH_NAMES("StateChanged", "ssss",
                                 SD_BUS_PARAM(old_state) SD_BUS_PARAM(new_state) SD_BUS_PARAM(reason) SD_BUS_PARAM(job), 0),
        SD_BUS_SIGNAL("GuestPanicked", "", 0),
        SD_BUS_SIGNAL_WITH_NAMES("IOError", "oss", SD_BUS_PARAM(device) SD_BUS_PARAM(action) SD_BUS_PARAM(reason), 0),
        SD_BUS_VTABLE_END
};
