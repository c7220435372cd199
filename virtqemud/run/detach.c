/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "detach.h"

#include "../def/controller-def.h"
#include "../device/device.h"
#include "../device/memory.h"
#include "../plan/hotplug.h"
#include "../qmp/qmp-cmd.h"
#include "config-edit.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "plug-journal.h"
#include "status.h"
#include "str.h"
#include "unplug.h"
#include "xml-read.h"

typedef struct Detach {
        char *device;
        bool live, config;
        uint64_t timeout_usec;
        ConfigEdit *edit;
        QmpRequest *asked;
        sd_event_source *timeout;
        bool waiting;
        DetachDone done;
        void *userdata;
} Detach;

static void detach_free(void *data) {
        Detach *t = data;

        config_edit_free(t->edit);
        qmp_request_free(t->asked);
        sd_event_source_disable_unref(t->timeout);
        free(t->device);
        free(t);
}

static const OperationType detach_type;

static Detach *detach_of(const Domain *d, const char *device) {
        Detach *t = d->operation && d->operation->type == &detach_type ? d->operation->data : NULL;

        return t && streq(t->device, device) ? t : NULL;
}

/* --- what may go --- */

/* What is plugged into it would go along, unasked. */
static const Device *find_user(const DomainDef *def, const Device *controller) {
        const Controller *c = (const Controller *) controller;

        for (size_t i = 0; device_kind(controller) == DEVICE_CONTROLLER && i < def->devices.n; i++) {
                const Device *d = (const Device *) def->devices.items[i];
                const Address *a = d->address;

                if (d == controller || !a)
                        continue;
                switch (device_slot(d, def)) {
                case SLOT_DRIVE_SCSI:
                        if (c->type == CONTROLLER_SCSI && a->controller == c->index)
                                return d;
                        break;
                case SLOT_USB:
                        if (c->type == CONTROLLER_USB && a->bus == c->index)
                                return d;
                        break;
                case SLOT_VIRTIO_SERIAL:
                        if (c->type == CONTROLLER_VIRTIO_SERIAL && a->controller == c->index)
                                return d;
                        break;
                case SLOT_NONE:
                case SLOT_PCI:
                case SLOT_PCIE:
                case SLOT_PCI_INTEGRATED:
                case SLOT_DRIVE_IDE:
                case SLOT_DRIVE_SATA:
                case SLOT_DRIVE_FDC:
                case SLOT_CCID:
                        break;
                }
        }
        return NULL;
}

static int check_live(const Domain *d, const char *id, Fault *f) {
        const Device *device = domain_device_by_id(d->live, id), *user;
        const char *why;

        if (!d->instance || !d->instance->monitor_ready || !d->live)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: only its definition can be changed", d->name,
                                 domain_state_to_string(d->state));
        if (!device)
                return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no device %s while it runs", d->name, id);
        why = device_fixed(device, d->live);
        if (why) {
                fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s can't be taken away while the guest runs: %s", id, why);
                fault_hint(f, "take it out of the definition: it is gone when the VM is started the next time");
                return -EOPNOTSUPP;
        }
        user = find_user(d->live, device);
        if (user)
                return fault_set(f, FAULT_INVALID_STATE, EBUSY, "%s can't be taken away: %s is on it", id, user->id);
        return 0;
}

typedef struct Removal {
        const Domain *domain;
        const char *device;
} Removal;

static int remove_from_config(DomainDef *def, void *userdata, Fault *f) {
        const Removal *removal = userdata;
        const Device *device = config_edit_find(removal->domain, def, removal->device);

        for (size_t i = 0; device && i < def->devices.n; i++)
                if (def->devices.items[i] == &device->head) {
                        domain_count_memory(def, device, false);
                        record_free(record_list_take(&def->devices, i));
                        return 0;
                }
        return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "the definition of %s has no device %s", removal->domain->name, removal->device);
}

/* --- journal: if we don't live to see what the guest does, the definition says what has become of it --- */

static int begin_journal(void *userdata, Fault *f) {
        Operation *o = userdata;
        const Detach *t = o->data;
        int r;

        if (!t->live || !t->edit)
                return 1;
        r = plug_journal_write(o->domain, &(PlugRecord) { .device = t->device, .way = PLUG_ASKED, .config = config_edit_before(t->edit) }, f);
        return r < 0 ? r : 1;
}

/* --- define: first, because it can be put back --- */

static int begin_define(void *userdata, Fault *f) {
        Operation *o = userdata;
        Detach *t = o->data;

        return config_edit_store(t->edit, o, f);
}

static int undo_define(void *userdata) {
        Operation *o = userdata;

        return config_edit_restore(((Detach *) o->data)->edit, o);
}

/* --- unplug: the guest is asked --- */

/* From now on it may go at any time, whatever becomes of the call and of us. */
static void mark_leaving(Operation *o) {
        Device *device = domain_device_by_id(o->domain->live, ((Detach *) o->data)->device);

        if (!device || device->leaving)
                return;
        device->leaving = true;
        domain_changed(o->domain, DOMAIN_CHANGED_LIVE);
        status_save(o->domain);
}

static void on_asked(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o = userdata;
        Detach *t = o->data;

        t->asked = qmp_request_free(t->asked);
        if (why) {
                (void) fault_copy(&f, why);
                t->waiting = false;
                steps_continue(o->steps, -why->error, &f);
                return;
        }
        mark_leaving(o);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o = userdata;
        Detach *t = o->data;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the guest of %s has not let go of %s within %" PRIu64 " s", o->domain->name, t->device,
                  t->timeout_usec / 1000000);
        fault_hint(&f, "it goes when the guest does so, which may be at its next boot; is something using it?");
        t->waiting = false;
        steps_continue(o->steps, -ETIMEDOUT, &f);
        return 0;
}

static int begin_unplug(void *userdata, Fault *f) {
        Operation *o = userdata;
        Detach *t = o->data;
        int r;

        if (!t->live)
                return 1;
        r = check_live(o->domain, t->device, f);
        if (r >= 0)
                r = domain_ask(o->domain, "device_del", qmp_arg_string("id", t->device), on_asked, o, &t->asked);
        if (r >= 0)
                r = sd_event_add_time_relative(o->domain->manager->event, &t->timeout, CLOCK_MONOTONIC, t->timeout_usec, 0, on_timeout, o);
        t->waiting = r >= 0;
        return r < 0 ? r : 0;
}

static int undo_unplug(void *userdata) {
        Operation *o = userdata;
        Detach *t = o->data;

        if (t->asked)
                mark_leaving(o); /* what QEMU has not answered it may do all the same */
        t->waiting = false;
        t->asked = qmp_request_free(t->asked);
        t->timeout = sd_event_source_disable_unref(t->timeout);
        return 1;
}

static void end(Domain *d, const char *device, int error, Fault *f) {
        Detach *t = detach_of(d, device);

        if (!t || !TAKE(t->waiting, false))
                return;
        t->timeout = sd_event_source_disable_unref(t->timeout);
        if (error >= 0)
                steps_settle(d->operation->steps); /* the guest can't be given it back */
        steps_continue(d->operation->steps, error, f);
}

void detach_guest_let_go(Domain *d, const char *device) {
        Detach *t = detach_of(d, device);

        assert(d && device);

        if (!t || !t->waiting)
                return;
        t->timeout = sd_event_source_disable_unref(t->timeout);
        steps_settle(d->operation->steps);
}

void detach_device_gone(Domain *d, const char *device) {
        assert(d && device);

        end(d, device, 0, NULL);
}

void detach_device_refused(Domain *d, const char *device) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert(d && device);

        fault_set(&f, FAULT_QEMU, EBUSY, "the guest of %s does not let go of %s", d->name, device);
        fault_hint(&f, "something in the guest uses it");
        end(d, device, -EBUSY, &f);
}

static const StepTable detach_steps = STEP_TABLE("detach",
        { "journal", begin_journal, NULL },
        { "define", begin_define, undo_define },
        { "unplug", begin_unplug, undo_unplug },
);

/* With the machine its device is gone, too. */
static void detach_qemu_ended(Operation *o) {
        Detach *t = o->data;

        t->asked = qmp_request_free(t->asked);
        if (t->waiting)
                end(o->domain, t->device, 0, NULL);
        else
                operation_qemu_ended(o);
}

static void detach_finished(Operation *o, int error, const Fault *f) {
        const Detach *t = o->data;

        if (t->live && t->edit)
                plug_journal_drop(o->domain, t->device);
        t->done(o->domain, error < 0 ? f : NULL, t->userdata);
}

static void detach_dropped(Operation *o, const Fault *f) {
        const Detach *t = o->data;

        t->done(o->domain, f, t->userdata);
}

static const OperationType detach_type = {
        .name = "detach", .steps = &detach_steps, .free_data = detach_free,
        .qemu_ended = detach_qemu_ended, .finished = detach_finished, .dropped = detach_dropped,
};

/* Where it is, unless somebody has said so. */
static void choose(const Domain *d, const DetachSpec *spec, bool *ret_live, bool *ret_config) {
        bool said = spec->live || spec->config;

        *ret_live = said ? spec->live : d->instance && domain_device_by_id(d->live, spec->device);
        *ret_config = said ? spec->config : config_edit_find(d, d->config, spec->device) != NULL;
}

static int look(Domain *d, const DetachSpec *spec, Detach *t, Fault *f) {
        Removal removal = { d, spec->device };
        int r = 0;

        choose(d, spec, &t->live, &t->config);
        if (!t->live && !t->config)
                return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "%s has no device %s", d->name, spec->device);
        if (t->live)
                r = check_live(d, spec->device, f);
        return r < 0 || !t->config ? r : config_edit_new(d, remove_from_config, &removal, &t->edit, f);
}

static int detach_new(Domain *d, const DetachSpec *spec, Detach **ret, Fault *f) {
        Detach *t = new0(Detach, 1);
        int r;

        if (!t)
                return fault_oom(f);
        t->timeout_usec = spec->timeout_usec ?: DETACH_USEC;
        t->device = strdup(spec->device);
        r = t->device ? look(d, spec, t, f) : fault_oom(f);
        if (r < 0) {
                detach_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

int detach_device(Domain *d, const DetachSpec *spec, DetachDone done, void *userdata, Operation **ret, Fault *f) {
        Detach *t;
        int r;

        assert(d && spec && spec->device && done);

        r = detach_new(d, spec, &t, f);
        if (r < 0)
                return r;
        t->done = done;
        t->userdata = userdata;
        return operation_begin(d, &detach_type, 0, t, ret, f);
}

int detach_plan(Domain *d, const DetachSpec *spec, char ***ret, Fault *f) {
        Detach *t;
        int r;

        assert(d && spec && spec->device && ret);

        r = detach_new(d, spec, &t, f);
        if (r < 0)
                return r;
        if (t->live)
                r = strv_pushf(ret, "qmp device_del {\"id\":\"%s\"}", t->device);
        if (r >= 0 && t->config)
                r = strv_pushf(ret, "definition of %s", d->name);
        detach_free(t);
        return r < 0 ? fault_oom(f) : 0;
}
