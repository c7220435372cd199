/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start.h"

#include <net/if.h>

#include "../device/interface.h"
#include "../device/tpm.h"
#include "../plan/launch.h"
#include "../qmp/qmp-cmd.h"
#include "caps-probe.h"
#include "companions.h"
#include "domain-volumes.h"
#include "firmware-files.h"
#include "displays.h"
#include "instance.h"
#include "launcher.h"
#include "unit-limits.h"
#include "machined.h"
#include "manager.h"
#include "mem.h"
#include "monitor.h"
#include "prepare.h"
#include "qemu-log.h"
#include "retune.h"
#include "sdbus.h"
#include "status.h"
#include "stop.h"
#include "str.h"
#include "thread-quota.h"
#include "unit.h"

#define HANDOVER_TIMEOUT_USEC (30u * 1000 * 1000)   /* from asking for the unit to the supervisor asking for its plan */
#define MONITOR_TIMEOUT_USEC (60u * 1000 * 1000)    /* from handing over to QEMU answering: firmware and much memory take a while */

/* Which answer the step under way waits for. */
typedef enum StartWait { WAIT_NOTHING, WAIT_UNIT_LEFT, WAIT_HANDOVER, WAIT_MONITOR, WAIT_CONT, WAIT_END } StartWait;

/* What a start holds until it has ended. */
typedef struct Start {
        unsigned flags;
        QemuCaps *caps;
        CapsWait *caps_wait;
        Prepare *prepare;            /* images, descriptors, plan */
        PlanRequest *request;        /* the supervisor that waits for its plan */
        Launcher *launcher;
        sd_event_source *timeout;
        MachineRegistration *registration;
        Companions *companions;
        DomainVolumes *volumes;
        DomainLogs *logs;
        DomainPorts *ports;
        DomainConnections *connections;
        DomainSecrets *secrets;
        DomainLeases *leases;        /* ours until QEMU, which has copies, is known by its process */
        UnitCall *limits;            /* systemd is told them */
        sd_bus_slot *words;          /* virtlogd is asked to write down all it has */
        StartWait wait;
} Start;

static void refuse_request(Start *s, const Fault *f) {
        PlanRequest *request = TAKE_PTR(s->request);

        if (request)
                request->refuse(request, f);
}

static void start_free(void *data) {
        Start *s = data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_CANCELED, ECANCELED, "the start was given up");
        refuse_request(s, &f);
        caps_wait_free(s->caps_wait);
        caps_free(s->caps);
        prepare_free(s->prepare);
        launcher_free(s->launcher);
        machine_registration_free(s->registration);
        companions_free(s->companions);
        domain_volumes_free(s->volumes);
        domain_logs_free(s->logs);
        domain_leases_free(s->leases);
        domain_ports_free(s->ports);
        domain_connections_free(s->connections);
        domain_secrets_free(s->secrets);
        unit_call_free(s->limits);
        sd_bus_slot_unref(s->words);
        sd_event_source_disable_unref(s->timeout);
        free(s);
}

static const OperationType start_type;

static Start *start_of(const Domain *d) {
        return d->operation && d->operation->type == &start_type ? d->operation->data : NULL;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (s->wait == WAIT_MONITOR)
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "QEMU of %s did not answer within %u s", o->domain->name,
                          MONITOR_TIMEOUT_USEC / 1000000);
        else
                fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the supervisor of %s did not come within %u s", o->domain->name,
                          HANDOVER_TIMEOUT_USEC / 1000000);
        steps_continue(o->steps, -ETIMEDOUT, &f);
        return 0;
}

static int arm_timeout(Operation *o, uint64_t usec) {
        Start *s = o->data;

        s->timeout = sd_event_source_disable_unref(s->timeout);
        return sd_event_add_time_relative(o->domain->manager->event, &s->timeout, CLOCK_MONOTONIC, usec, 0, on_timeout, o);
}

/* --- leaving: a unit that has not quite ended would make systemd answer a start with "is running" --- */

static int begin_leaving(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        domain_set_state(o->domain, DOMAIN_STARTING, REASON_STARTING_UP);
        strv_free(TAKE_PTR(o->domain->warnings));
        if (!o->domain->leaving || s->request)
                return 1;
        s->wait = WAIT_UNIT_LEFT;
        return 0;
}

void start_unit_left(Domain *d) {
        Start *s = start_of(d);

        if (s && s->wait == WAIT_UNIT_LEFT) {
                s->wait = WAIT_NOTHING;
                steps_continue(d->operation->steps, 0, NULL);
        }
}

/* --- capabilities: what can this QEMU do, and can it do what the definition asks? --- */

static int build_live(Operation *o, Fault *f) {
        Domain *d = o->domain;
        Start *s = o->data;
        int r = 0;

        if (!d->live) { /* a transient domain has brought its own */
                r = domain_make_live(d->config, o->id, &d->manager->defaults, &d->live);
                if (r < 0)
                        return r;
        }
        d->live_generation = 1;
        d->keeps_state = domain_keeps_tpm(d->live);
        if (d->live->extra_args.n > 0 || d->live->extra_env.n > 0)
                domain_taint(d, "custom-argv");
        r = domain_expand_machine(d->live, s->caps, f);
        if (r >= 0)
                r = firmware_files_choose(d->manager, d->live, f);
        if (r >= 0)
                r = domain_check(d->live, s->caps, &d->manager->defaults, f);
        return r;
}

static void on_caps(CapsStore *store, const char *binary, QemuCaps *caps, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        s->caps_wait = caps_wait_free(s->caps_wait);
        if (caps) {
                s->caps = caps_ref(caps);
                r = build_live(o, &f);
        } else {
                r = -why->error;
                (void) fault_copy(&f, why);
        }
        steps_continue(o->steps, r, &f);
}

static int begin_capabilities(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;
        QemuCaps *known;
        int r;

        r = instance_new(d, NULL, f);
        if (r < 0)
                return r;
        known = caps_store_peek(d->manager->caps, domain_def(d)->emulator);
        if (known) {
                s->caps = caps_ref(known);
                r = build_live(o, f);
                return r < 0 ? r : 1;
        }
        return caps_store_get(d->manager->caps, domain_def(d)->emulator, on_caps, o, &s->caps_wait);
}

/* The last undo: nothing of this run is left. */
static int undo_capabilities(void *userdata) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;

        s->caps_wait = caps_wait_free(s->caps_wait);
        s->prepare = prepare_free(s->prepare);
        if (d->instance)
                instance_remove(d->instance);
        return 1;
}

/* --- volumes: where disks are that are named by their pool --- */

static void on_volumes(const Fault *why, void *userdata) {
        Operation *o = userdata;

        free_and_replace(&o->domain->live_text, NULL); /* their paths were written into it */
        operation_continue(o, why);
}

static int begin_volumes(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_volumes_new(o->domain, o->domain->live, true, on_volumes, o, &s->volumes, f);
}

static int undo_volumes(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->volumes = domain_volumes_free(s->volumes);
        return 1;
}

/* --- secrets: passphrases of its disks --- */

static void on_secrets(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_secrets(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_secrets_new(o->domain, o->domain->live, on_secrets, o, &s->secrets, f);
}

static int undo_secrets(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->secrets = domain_secrets_free(s->secrets);
        return 1;
}

/* --- logs: where its output goes --- */

static void on_logs(void *userdata) {
        steps_continue(((Operation *) userdata)->steps, 0, NULL);
}

static int begin_logs(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_logs_new(o->domain, o->domain->live, true, on_logs, o, &s->logs, f);
}

static int undo_logs(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->logs = domain_logs_free(s->logs);
        return 1;
}

/* --- prepare: open what QEMU needs, make the plan --- */

static void on_prepared(Prepare *p, int error, Fault *f, void *userdata) {
        Operation *o = userdata;

        free_and_replace(&o->domain->live_text, NULL); /* backing chains were written into it */
        domain_changed(o->domain, DOMAIN_CHANGED_DISKS);
        steps_continue(o->steps, error, f);
}

static int begin_prepare(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return prepare_new(o->domain, &(PrepareSpec) { .live = o->domain->live, .caps = s->caps }, on_prepared, o, &s->prepare, f);
}

static int undo_prepare(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->prepare = prepare_free(s->prepare);
        return 1;
}

/* --- leases: nobody else uses the images --- */

static void on_leases(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_leases(void *userdata, Fault *f) {
        Operation *o = userdata;
        _cleanup_free_ ImageUse *uses = NULL;
        Start *s = o->data;
        size_t n;
        int r;

        r = prepare_images(s->prepare, &uses, &n);
        return r < 0 ? r : domain_leases_new(o->domain, uses, n, on_leases, o, &s->leases, f);
}

static int undo_leases(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->leases = domain_leases_free(s->leases);
        return 1;
}

/* --- connections: to who has to be there --- */

static void on_connections(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_connections(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_connections_new(o->domain, prepare_plan(s->prepare), on_connections, o, &s->connections, f);
}

static int undo_connections(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->connections = domain_connections_free(s->connections);
        return 1;
}

/* --- ports: on networks and bridges. With them all descriptors are there --- */

static void on_ports(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        free_and_replace(&o->domain->live_text, NULL); /* names of taps were written into it */
        if (why)
                (void) fault_copy(&f, why);
        r = why ? -why->error : prepare_descriptors(s->prepare, &(Gathered) { s->logs, s->leases, s->ports, s->connections, s->secrets }, &f);
        if (r >= 0)
                instance_watch_addresses(o->domain->instance);
        steps_continue(o->steps, r, &f);
}

static int begin_ports(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_ports_new(o->domain, o->domain->live, on_ports, o, &s->ports, f);
}

static int undo_ports(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->ports = domain_ports_free(s->ports);
        return 1;
}

/* --- unit: a supervisor comes and asks for its plan --- */

static int supervisor_came(Operation *o, Fault *f) {
        Start *s = o->data;
        int r;

        s->wait = WAIT_NOTHING;
        s->timeout = sd_event_source_disable_unref(s->timeout);
        r = instance_set_supervisor(o->domain->instance, s->request->pid, 0, f);
        return r < 0 ? r : 1;
}

static void on_launch_failed(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (s->wait != WAIT_HANDOVER)
                return; /* it has its plan: what becomes of QEMU is seen at the monitor */
        s->wait = WAIT_NOTHING;
        (void) fault_copy(&f, why);
        steps_continue(o->steps, -why->error, &f);
}

static int begin_unit(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;
        int r;

        if (d->manager->by_unit) {
                r = free_and_strdup(&d->instance->unit, d->unit);
                if (r < 0)
                        return fault_oom(f);
        }
        if (s->request) /* the unit was started by somebody else */
                return supervisor_came(o, f);
        s->wait = WAIT_HANDOVER;
        r = arm_timeout(o, HANDOVER_TIMEOUT_USEC);
        return r < 0 ? r : launcher_new(d, on_launch_failed, o, &s->launcher, f);
}

static void on_launch_stopped(void *userdata) {
        Operation *o = userdata;

        steps_continue(o->steps, 0, NULL);
}

/* The supervisor is told to kill; its end is waited for, so that the next start finds nothing in its way. One that has not come yet must
 * not come later: it would be a start by itself. */
static int undo_unit(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        Instance *i = o->domain->instance;
        _cleanup_fault_ Fault f = FAULT_INIT;

        s->timeout = sd_event_source_disable_unref(s->timeout);
        fault_set(&f, FAULT_CANCELED, ECANCELED, "the start of %s failed", o->domain->name);
        refuse_request(s, &f);
        if (!i || !process_is_alive(&i->supervisor)) {
                s->wait = WAIT_NOTHING;
                return launcher_stop(s->launcher, on_launch_stopped);
        }
        s->launcher = launcher_free(s->launcher);
        s->wait = WAIT_END;
        if (i->handed_over)
                instance_kill(i);
        else
                instance_expect_end(i); /* it was refused its plan */
        return 0;
}

/* --- networks: what stands beside QEMU, carries its frames and the like --- */

static void on_companions(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (why)
                (void) fault_copy(&f, why);
        else
                o->domain->instance->companions = TAKE_PTR(s->companions); /* watched as long as QEMU runs */
        steps_continue(o->steps, why ? -why->error : 0, &f);
}

static int begin_networks(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return companions_new(o->domain, o->domain->live, s->prepare, s->secrets, on_companions, o, &s->companions, f);
}

/* They end by themselves when nobody holds the other end of their connection. */
static int undo_networks(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->companions = companions_abandon(s->companions);
        return 1;
}

/* --- handover: the supervisor gets its plan --- */

static int begin_handover(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;
        PlanRequest *request;
        int r;

        /* Everything is connected while we still hold the listening sockets: from now on their end is QEMU's end. */
        r = instance_connect_monitor(d->instance, f);
        if (r < 0)
                return r;
        instance_connect_consoles(d->instance);
        r = displays_open(d, false, &d->instance->displays, f);
        if (r < 0)
                return r;

        d->instance->handed_over = true;
        status_save(d);
        request = TAKE_PTR(s->request);
        request->answer(request, prepare_plan(s->prepare), prepare_fds(s->prepare), d);
        s->prepare = prepare_free(s->prepare); /* our copies of the descriptors are closed */
        s->logs = domain_logs_free(s->logs);
        s->ports = domain_ports_free(s->ports);
        s->connections = domain_connections_free(s->connections);
        s->secrets = domain_secrets_free(s->secrets);
        return 1;
}

/* --- monitor: QEMU answers --- */

static int found_qemu(Operation *o, Fault *f) {
        Start *s = o->data;
        int r;

        s->wait = WAIT_NOTHING;
        s->timeout = sd_event_source_disable_unref(s->timeout);
        r = instance_find_qemu(o->domain->instance, f);
        if (r >= 0)
                domain_leases_set_pid(s->leases, o->domain->instance->qemu.pid);
        s->leases = domain_leases_free(s->leases);
        return r;
}

static int begin_monitor(void *userdata, Fault *f) {
        Operation *o = userdata;
        Instance *i = o->domain->instance;
        Start *s = o->data;
        int r;

        if (!i->qmp) { /* taken up after a restart of ours */
                r = instance_connect_monitor(i, f);
                if (r < 0)
                        return r;
        }
        if (i->monitor_ready) {
                r = found_qemu(o, f);
                return r < 0 ? r : 1;
        }
        s->wait = WAIT_MONITOR;
        r = arm_timeout(o, MONITOR_TIMEOUT_USEC);
        return r < 0 ? r : 0;
}

bool start_monitor_ready(Domain *d) {
        Start *s = start_of(d);
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!s)
                return false;
        if (s->wait == WAIT_MONITOR)
                steps_continue(d->operation->steps, found_qemu(d->operation, &f), &f);
        return true;
}

/* What the supervisor passed on of QEMU's own words, where there are any. */
static void fail_now(Domain *d, const Fault *why) {
        _cleanup_free_ char *words = qemu_log_last_words(d);
        Fault f = FAULT_INIT;

        if (words)
                fault_set(&f, FAULT_QEMU, EIO, "QEMU of %s ended during the start: %s", d->name, words);
        else if (why)
                (void) fault_copy(&f, why);
        else
                fault_set(&f, FAULT_QEMU, EIO, "QEMU of %s ended during the start without saying why", d->name);
        steps_cancel(d->operation->steps, &f);
}

static int on_words_written(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Operation *o = userdata;
        Start *s = o->data;

        s->words = sd_bus_slot_unref(s->words);
        if (!steps_undoing(o->steps))
                fail_now(o->domain, NULL);
        return 0;
}

/* What virtlogd has not yet taken out of the pipe is in the file when it has answered. */
static void fail_with_last_words(Domain *d, const Fault *why) {
        Operation *o = d->operation;
        Start *s = o->data;

        if (s->words)
                return;
        s->wait = WAIT_NOTHING;
        s->timeout = sd_event_source_disable_unref(s->timeout);
        s->registration = machine_registration_free(s->registration);
        if (why || !d->instance->log_by_daemon || qemu_log_sync(d, on_words_written, o, &s->words) < 0)
                fail_now(d, why);
}

void start_monitor_closed(Domain *d, const Fault *why) {
        Start *s = start_of(d);

        /* QEMU's end comes right after, with more to tell; only a monitor that breaks while QEMU lives on is a failure by itself. */
        if (s && !steps_undoing(d->operation->steps) && d->instance && process_is_alive(&d->instance->supervisor) &&
            why->kind != FAULT_DISCONNECTED)
                fail_with_last_words(d, why);
}

bool start_qemu_ended(Domain *d) {
        Start *s = start_of(d);

        if (!s)
                return false;
        if (steps_undoing(d->operation->steps)) {
                if (s->wait == WAIT_END && !process_is_alive(&d->instance->supervisor)) {
                        s->wait = WAIT_NOTHING;
                        steps_continue(d->operation->steps, 0, NULL);
                }
        } else
                fail_with_last_words(d, NULL);
        return true;
}

/* --- limits: of its unit --- */

static void on_limits(const Fault *f, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        operation_continue(o, f);
        s->limits = unit_call_free(s->limits);
}

static int begin_limits(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        retune_schedule(o->domain);
        thread_quotas_apply(o->domain, o->domain->live);
        return limits_apply(o->domain, on_limits, o, &s->limits, f);
}

static int undo_limits(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->limits = unit_call_free(s->limits);
        return 1;
}

/* --- register: machinectl shall see it --- */

static void on_registered(const char *name, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;
        Domain *d = o->domain;

        if (name)
                (void) free_and_strdup(&d->instance->machine_name, name);
        else
                (void) domain_warn(d, "%s", fault_text(why));
        s->registration = machine_registration_free(s->registration);
        domain_changed(d, DOMAIN_CHANGED_LIVE);
        steps_continue(o->steps, 0, NULL);
}

static size_t find_links(const DomainDef *def, int links[static MACHINE_LINKS_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < def->devices.n && n < MACHINE_LINKS_MAX; i++) {
                const Interface *nic = device_as_interface((const Device *) def->devices.items[i]);
                unsigned number = nic && interface_has_tap(nic) && nic->host ? if_nametoindex(nic->host) : 0;

                if (number > 0)
                        links[n++] = (int) number;
        }
        return n;
}

static int begin_register(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;
        int links[MACHINE_LINKS_MAX], r;
        size_t n;

        /* A process in a user's session would be registered as that user's whole session, which "terminate" then ends. */
        if (!d->manager->by_unit || d->manager->user || !d->manager->bus || d->instance->machine_name)
                return 1;
        n = find_links(d->live, links);

        const MachineSpec spec = { .name = d->name, .unit = d->unit, .uuid = d->uuid, .leader = d->instance->supervisor.pid, .links = links, .n_links = n };

        r = machine_register(d->manager->bus, &spec, on_registered, o, &s->registration);
        if (r < 0) {
                (void) domain_warn(d, "not registered with systemd-machined: %s", strerror(-r));
                return 1;
        }
        return 0;
}

static int undo_register(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->registration = machine_registration_free(s->registration); /* the machine itself goes with its unit */
        return 1;
}

/* --- run: the guest's first instruction --- */

static void started(Operation *o, bool running) {
        Domain *d = o->domain;

        d->instance->running_guest = running;
        domain_set_state(d, running ? DOMAIN_RUNNING : DOMAIN_PAUSED, running ? REASON_BOOTED : REASON_USER);
        domain_set_error(d, NULL);
        domain_changed(d, DOMAIN_CHANGED_LIVE);
}

static void on_cont(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;
        Domain *d = i->domain;
        Start *s = start_of(d);
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (!s || s->wait != WAIT_CONT)
                return;
        s->wait = WAIT_NOTHING;
        if (result)
                started(d->operation, true);
        else
                (void) fault_copy(&f, why);
        steps_continue(d->operation->steps, result ? 0 : -EIO, &f);
}

static void on_settled(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Instance *i = userdata;

        if (!result)
                (void) domain_warn(i->domain, "%s", fault_text(why));
}

/* What the command line can't say. The answers are not waited for: QEMU takes commands one after the other, so that the guest's first
 * instruction finds everything done. */
static int settle(Instance *i) {
        json_auto_t *commands = NULL;
        json_t *command;
        size_t k;
        int r;

        r = launch_settle(i->domain->live, &commands);
        json_array_foreach(commands, k, command)
                if (r >= 0)
                        r = qmp_send(i->qmp, json_string_value(json_object_get(command, "execute")),
                                     json_incref(json_object_get(command, "arguments")), QMP_TIMEOUT_USEC, on_settled, i, NULL);
        return r;
}

static int begin_run(void *userdata, Fault *f) {
        Operation *o = userdata;
        Instance *i = o->domain->instance;
        Start *s = o->data;
        int r;

        r = settle(i);
        if (r < 0)
                return r;
        if (s->flags & START_PAUSED) {
                started(o, false);
                return 1;
        }
        s->wait = WAIT_CONT;
        r = qmp_call(i->qmp, "cont", on_cont, i, NULL);
        return r < 0 ? r : 0;
}

/* Steps up to this one are over once the plan was handed over; what is interrupted later is taken up with the one after it. */
#define STEP_HANDOVER 11

static const StepRow start_steps[] = {
        { "leaving", begin_leaving, NULL },
        { "capabilities", begin_capabilities, undo_capabilities },
        { "volumes", begin_volumes, undo_volumes },
        { "secrets", begin_secrets, undo_secrets },
        { "logs", begin_logs, undo_logs },
        { "prepare", begin_prepare, undo_prepare },
        { "leases", begin_leases, undo_leases },
        { "connections", begin_connections, undo_connections },
        { "ports", begin_ports, undo_ports },
        { "unit", begin_unit, undo_unit },
        { "networks", begin_networks, undo_networks },
        [STEP_HANDOVER] = { "handover", begin_handover, NULL },
        { "monitor", begin_monitor, NULL },
        { "limits", begin_limits, undo_limits },
        { "register", begin_register, undo_register },
        { "run", begin_run, NULL },
};

static void start_finished(Operation *o, int error, const Fault *f) {
        Domain *d = o->domain;
        Start *s = o->data;

        if (error >= 0)
                return;
        refuse_request(s, f);
        d->live = domain_def_free(d->live);
        d->live_generation = 0;
        domain_set_state(d, DOMAIN_SHUTOFF, error == -ECANCELED ? REASON_DESTROYED : REASON_FAILED);
        domain_changed(d, DOMAIN_CHANGED_LIVE);
        stop_domain_off(d); /* whoever terminated it hears of it */
}

static const OperationType start_type = {
        .name = "start",
        .steps = start_steps, .n_steps = ARRAY_SIZE(start_steps),
        .free_data = start_free, .finished = start_finished,
};

static int begin(Domain *d, unsigned flags, PlanRequest *request, size_t first, Operation **ret, Fault *f) {
        Start *s = new0(Start, 1);

        if (!s) {
                fault_oom(f);
                if (request)
                        request->refuse(request, f);
                return -ENOMEM;
        }
        s->flags = flags;
        s->request = request;
        return operation_begin(d, &start_type, first, s, ret, f);
}

int start_domain(Domain *d, unsigned flags, Operation **ret, Fault *f) {
        assert(d);

        if (d->state == DOMAIN_BROKEN) {
                fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s can't be started: %s", d->name, fault_text(&d->broken));
                fault_hint(f, "mend its definition");
                return -EINVAL;
        }
        if (domain_state_is_active(d->state) && !d->operation)
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "%s is %s already", d->name, domain_state_to_string(d->state));
        return begin(d, flags, NULL, 0, ret, f);
}

int start_resume(Domain *d, unsigned flags, Fault *f) {
        assert(d && d->instance);

        return begin(d, flags, NULL, STEP_HANDOVER + 1, NULL, f);
}

/* Why a unit that was started from outside can't become this domain; 0: it can. */
static int check_outside_start(const Domain *d, Fault *f) {
        if (d->state == DOMAIN_BROKEN)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s: %s", d->name, fault_text(&d->broken));
        if (d->operation)
                return fault_set(f, FAULT_BUSY, EBUSY, "%s is busy: job %u (%s) is under way", d->name, d->operation->id,
                                 d->operation->name);
        if (domain_state_is_active(d->state))
                return fault_set(f, FAULT_INVALID_STATE, EALREADY, "%s is %s already", d->name, domain_state_to_string(d->state));
        return 0;
}

void start_supervisor_asks(Domain *d, PlanRequest *request) {
        Start *s = start_of(d);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!s) {
                r = check_outside_start(d, &f);
                if (r < 0)
                        request->refuse(request, &f);
                else
                        (void) begin(d, 0, request, 0, NULL, &f); /* refuses it itself when it fails */
                return;
        }
        if (s->request || steps_undoing(d->operation->steps) || (d->instance && d->instance->handed_over)) {
                fault_set(&f, FAULT_INVALID_STATE, EALREADY, "the plan of %s was given away already", d->name);
                request->refuse(request, &f);
                return;
        }
        s->request = request;
        if (s->wait == WAIT_HANDOVER) {
                r = supervisor_came(d->operation, &f);
                steps_continue(d->operation->steps, r, &f);
        } else
                start_unit_left(d); /* it comes from the new unit, so the old one is gone */
}

bool start_is_paused(const Domain *d) {
        const Start *s = start_of(d);

        return s && (s->flags & START_PAUSED);
}

bool start_is_under_way(const Domain *d, unsigned *ret_flags) {
        const Start *s = start_of(d);

        if (s)
                *ret_flags = s->flags;
        return s;
}
