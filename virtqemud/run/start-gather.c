/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "start-steps.h"

#include "../device/tpm.h"
#include "firmware-files.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "str.h"

/* --- leaving: a unit that has not quite ended would make systemd answer a start with "is running" --- */

int start_begin_leaving(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Start *s = o->data;

        domain_set_state(d, DOMAIN_STARTING, REASON_STARTING_UP);
        if (d->warnings || d->tainted) {
                strv_free(TAKE_PTR(d->warnings));
                strv_free(TAKE_PTR(d->tainted));
                domain_changed(d, DOMAIN_CHANGED_WARNINGS | DOMAIN_CHANGED_TAINTED);
        }
        if (!d->leaving || s->request)
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

int start_begin_capabilities(void *userdata, Fault *f) {
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
int start_undo_capabilities(void *userdata) {
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

int start_begin_volumes(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_volumes_new(o->domain, o->domain->live, true, on_volumes, o, &s->volumes, f);
}

int start_undo_volumes(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->volumes = domain_volumes_free(s->volumes);
        return 1;
}

/* --- secrets: passphrases of its disks --- */

static void on_secrets(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

int start_begin_secrets(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_secrets_new(o->domain, o->domain->live, on_secrets, o, &s->secrets, f);
}

int start_undo_secrets(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->secrets = domain_secrets_free(s->secrets);
        return 1;
}

/* --- logs: where its output goes --- */

static void on_logs(void *userdata) {
        steps_continue(((Operation *) userdata)->steps, 0, NULL);
}

int start_begin_logs(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_logs_new(o->domain, o->domain->live, true, on_logs, o, &s->logs, f);
}

int start_undo_logs(void *userdata) {
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

int start_begin_prepare(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return prepare_new(o->domain, &(PrepareSpec) { .live = o->domain->live, .caps = s->caps }, on_prepared, o, &s->prepare, f);
}

int start_undo_prepare(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->prepare = prepare_free(s->prepare);
        return 1;
}

/* --- leases: nobody else uses the images --- */

static void on_leases(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

int start_begin_leases(void *userdata, Fault *f) {
        Operation *o = userdata;
        _cleanup_free_ ImageUse *uses = NULL;
        Start *s = o->data;
        size_t n;
        int r;

        r = prepare_images(s->prepare, &uses, &n);
        return r < 0 ? r : domain_leases_new(o->domain, uses, n, on_leases, o, &s->leases, f);
}

int start_undo_leases(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->leases = domain_leases_free(s->leases);
        return 1;
}

/* --- connections: to who has to be there --- */

static void on_connections(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

int start_begin_connections(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_connections_new(o->domain, prepare_plan(s->prepare), on_connections, o, &s->connections, f);
}

int start_undo_connections(void *userdata) {
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

int start_begin_ports(void *userdata, Fault *f) {
        Operation *o = userdata;
        Start *s = o->data;

        return domain_ports_new(o->domain, o->domain->live, on_ports, o, &s->ports, f);
}

int start_undo_ports(void *userdata) {
        Operation *o = userdata;
        Start *s = o->data;

        s->ports = domain_ports_free(s->ports);
        return 1;
}
