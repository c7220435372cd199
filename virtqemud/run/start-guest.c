/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start-steps.h"

#include <net/if.h>

#include "../device/interface.h"
#include "../plan/launch.h"
#include "../qmp/qmp-cmd.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "retune.h"
#include "sdbus.h"
#include "str.h"
#include "thread-quota.h"
#include "unit-limits.h"

/* --- devices that QEMU opens by itself, and limits: of its unit --- */

static void on_limits(const Fault *f, void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        operation_continue(o, f);
        s->limits = unit_call_free(s->limits);
}

int start_begin_devices(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return limits_allow_devices(o->domain, on_limits, o, &s->limits, f);
}

int start_begin_limits(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        retune_schedule(o->domain);
        thread_quotas_apply(o->domain, o->domain->live);
        return limits_apply(o->domain, on_limits, o, &s->limits, f);
}

/* What was told is taken back when the run has ended. */
int start_undo_limits(void *userdata) {
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

int start_begin_register(void *userdata, Fault *f) {
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

int start_undo_register(void *userdata) {
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

int start_begin_run(void *userdata, Fault *f) {
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
