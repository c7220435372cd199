/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../plan/tuning.h"
#include "../run/host-devices.h"
#include "../run/instance.h"
#include "../run/operation.h"
#include "device-bus.h"
#include "events-bus.h"
#include "mem.h"
#include "service.h"
#include "wait-address.h"

/* What run/ tells, as D-Bus signals. */

static void on_added(Domain *d, void *userdata) {
        Service *s = userdata;
        char path[DOMAIN_PATH_MAX];

        if (s->announcing)
                bus_added(s->bus, domain_path(d, path));
        device_bus_refresh(s, d);
        host_devices_claims_changed(s->host_devices, d, false);
        if (!s->announcing)
                return;
        (void) bus_emit(s->bus, QEMU1_ROOT, QEMU1_MANAGER, "DomainNew", "so", d->name, path);
        bus_changed(s->bus, QEMU1_ROOT, QEMU1_MANAGER, "DomainCount");
}

static void on_removed(Domain *d, void *userdata) {
        Service *s = userdata;
        char path[DOMAIN_PATH_MAX];

        (void) domain_path(d, path);
        (void) bus_emit(s->bus, QEMU1_ROOT, QEMU1_MANAGER, "DomainRemoved", "so", d->name, path);
        device_bus_forget(s, d);
        host_devices_claims_changed(s->host_devices, d, true);
        bus_removed(s->bus, path);
        bus_changed(s->bus, QEMU1_ROOT, QEMU1_MANAGER, "DomainCount");
}

/* Which properties follow from what changed. A new property that can change is a row here. */
static const struct {
        unsigned what;
        const char *property;
} properties[] = {
        { DOMAIN_CHANGED_STATE, "State" },
        { DOMAIN_CHANGED_STATE, "StateReason" },
        { DOMAIN_CHANGED_STATE, "StateTimestamp" },
        { DOMAIN_CHANGED_STATE, "StartTimestamp" },
        { DOMAIN_CHANGED_STATE, "PauseReason" },
        { DOMAIN_CHANGED_CONFIG, "Title" },
        { DOMAIN_CHANGED_CONFIG, "Description" },
        { DOMAIN_CHANGED_CONFIG, "Persistent" },
        { DOMAIN_CHANGED_CONFIG, "ConfigGeneration" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE, "PendingChanges" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE, "MachineType" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE, "Firmware" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE, "VCPUs" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE, "MemoryMax" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_MEMORY, "MemoryCurrent" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE, "BootOrder" },
        { DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE, "Metadata" },
        { DOMAIN_CHANGED_LIVE, "LiveGeneration" },
        { DOMAIN_CHANGED_LIVE, "MachineName" },
        { DOMAIN_CHANGED_LIVE, "Unit" },
        { DOMAIN_CHANGED_LIVE, "MainPID" },
        { DOMAIN_CHANGED_AUTOSTART, "Autostart" },
        { DOMAIN_CHANGED_ADDRESSES | DOMAIN_CHANGED_STATE, "Addresses" },
        { DOMAIN_CHANGED_WARNINGS, "Warnings" },
        { DOMAIN_CHANGED_TAINTED, "Tainted" },
        { DOMAIN_CHANGED_ERROR, "LastError" },
        { DOMAIN_CHANGED_OPERATION, "Job" },
};

/* Likewise of what its guest says. */
static void guest_changed(Service *s, const char *path) {
        static const char *const names[] = { "AgentState", "AgentVersion", "AgentCommands", "Hostname", "OS" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                bus_changed(s->bus, path, QEMU1_GUEST, names[i]);
}

static void on_changed(Domain *d, unsigned what, void *userdata) {
        Service *s = userdata;
        char path[DOMAIN_PATH_MAX];

        (void) domain_path(d, path);
        for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
                if (s->announcing && (properties[i].what & what))
                        bus_changed(s->bus, path, QEMU1_DOMAIN, properties[i].property);
        if (s->announcing && (what & (DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_TUNING)))
                for (size_t i = 0; tuning_name(i); i++)
                        bus_changed(s->bus, path, QEMU1_TUNING, tuning_name(i));
        if (what & (DOMAIN_CHANGED_ADDRESSES | DOMAIN_CHANGED_STATE))
                address_waits_look(s, d);
        if (s->announcing && (what & DOMAIN_CHANGED_GUEST))
                guest_changed(s, path);
        if (s->announcing && (what & DOMAIN_CHANGED_EVENTS))
                events_bus_changed(s, d);
        if (what & (DOMAIN_CHANGED_CONFIG | DOMAIN_CHANGED_LIVE))
                device_bus_refresh(s, d);
        if (what & DOMAIN_CHANGED_LIVE)
                host_devices_claims_changed(s->host_devices, d, false);
        if (what & (DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_DISKS))
                (void) bus_emit(s->bus, QEMU1_ROOT, QEMU1_MANAGER, "DisksChanged", "");
        if ((what & DOMAIN_CHANGED_OPERATION) && d->operation && d->operation->watcher)
                job_set_phase(d->operation->watcher, steps_current(d->operation->steps));
        if ((what & DOMAIN_CHANGED_PROGRESS) && d->operation && d->operation->watcher)
                job_set_progress(d->operation->watcher, d->operation->done, d->operation->total);
}

static void on_state(Domain *d, DomainState old, void *userdata) {
        Service *s = userdata;
        char path[DOMAIN_PATH_MAX];
        const char *job = d->operation && d->operation->watcher ? job_path(d->operation->watcher) : "/";

        (void) bus_emit(s->bus, domain_path(d, path), QEMU1_DOMAIN, "StateChanged", "ssss", domain_state_to_string(old),
                        domain_state_to_string(d->state), state_reason_to_string(d->reason), job);
}

static void on_operation_finished(Operation *o, int error, const Fault *f, void *userdata) {
        Job *j = TAKE_PTR(o->watcher);

        if (j)
                job_finish(j, error, f);
}

static void on_event(Domain *d, const DomainEvent *e, void *userdata) {
        events_bus_emit(userdata, d, e);
}

static void on_busy(bool busy, void *userdata) {
        service_busy_changed(userdata);
}

const DomainWatch signal_watch = {
        .added = on_added, .removed = on_removed, .changed = on_changed, .state = on_state,
        .operation_finished = on_operation_finished, .event = on_event, .busy = on_busy,
};
