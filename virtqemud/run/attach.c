/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach.h"

#include "../device/disk.h"
#include "../device/memory.h"
#include "../plan/hotplug.h"
#include "../qmp/qmp-cmd.h"
#include "../qmp/qmp-script.h"
#include "bus-error.h"
#include "config-edit.h"
#include "domain-volumes.h"
#include "guest-agent.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "plug-journal.h"
#include "prepare.h"
#include "sdbus.h"
#include "status.h"
#include "str.h"
#include "companions.h"

typedef struct Attach {
        const Domain *domain;
        AttachSpec spec;
        Device *device;
        QemuCaps *caps;
        CapsWait *caps_wait;
        Hotplug *hotplug;
        ConfigEdit *edit;
        bool plugged;
        DomainVolumes *volumes;
        DomainSecrets *secrets;
        DomainLogs *logs;
        QmpRequest *asked;
        json_t *nodes, *sets;        /* what QEMU has before a change */
        unsigned first_fdset;
        Prepare *prepare;
        DomainLeases *leases;
        DomainPorts *ports;
        DomainConnections *connections;
        sd_bus_slot *limit;          /* virtnetworkd is told one */
        bool limited;
        Companions *companions;
        QmpScript *script;
        bool left;                   /* something could not be taken back */
        char *id;
        char **plan;
        AttachDone done;
        void *userdata;
} Attach;

static void attach_free(void *data) {
        Attach *a = data;

        qmp_script_free(a->script);
        companions_free(a->companions);
        sd_bus_slot_unref(a->limit);
        domain_ports_free(a->ports);
        domain_connections_free(a->connections);
        domain_leases_free(a->leases);
        prepare_free(a->prepare);
        qmp_request_free(a->asked);
        json_decref(a->nodes);
        json_decref(a->sets);
        domain_logs_free(a->logs);
        domain_secrets_free(a->secrets);
        domain_volumes_free(a->volumes);
        config_edit_free(a->edit);
        hotplug_free(a->hotplug);
        caps_wait_free(a->caps_wait);
        caps_free(a->caps);
        record_free(a->device ? &a->device->head : NULL);
        free(a->id);
        strv_free(a->plan);
        free(a);
}

static const OperationType attach_type;

/* --- capabilities: can it be plugged into what runs, and what would the definition be? --- */

/* The persistent definition gets what the running VM has got, with address and all; where that place is taken it gets another one. */
static int add_to_config(DomainDef *def, void *userdata, Fault *f) {
        const Device *device = userdata;
        void *copy = NULL;
        Device *d;

        if (record_copy(&device->head, &copy) < 0)
                return fault_oom(f);
        d = copy;
        free_and_replace(&d->id, NULL);
        if (d->alias && !str_after(d->alias, "ua-"))
                free_and_replace(&d->alias, NULL);
        if (d->ops->drop_live)
                d->ops->drop_live(d);
        if (record_list_add(&def->devices, copy) < 0)
                return fault_oom(f);
        domain_count_memory(def, d, true);
        return 0;
}

/* The same one as in the running machine, or the one of that id. */
static const Device *find_to_change(const Attach *a, const DomainDef *def) {
        if (a->hotplug)
                return domain_find_same(def, a->hotplug->before);
        return a->device->id ? config_edit_find(a->domain, def, a->device->id) : domain_find_same(def, a->device);
}

static int change_in_config(DomainDef *def, void *userdata, Fault *f) {
        const Attach *a = userdata;
        const Device *device = a->device, *before = find_to_change(a, def);
        void *copy;

        for (size_t i = 0; before && i < def->devices.n; i++) {
                Device *d;

                if (def->devices.items[i] != &before->head)
                        continue;
                if (record_copy(&device->head, &copy) < 0)
                        return fault_oom(f);
                d = copy;
                free_and_replace(&d->id, NULL);
                if (d->ops->drop_live)
                        d->ops->drop_live(d);
                if (d->alias && !str_after(d->alias, "ua-"))
                        free_and_replace(&d->alias, NULL);
                if (!d->address && before->address && record_copy(&before->address->head, (void **) &d->address) < 0) {
                        record_free(copy);
                        return fault_oom(f);
                }
                record_free(def->devices.items[i]);
                def->devices.items[i] = copy;
                iotune_share(def, d);
                return 0;
        }
        return fault_set(f, FAULT_NO_SUCH_DEVICE, ENODEV, "there is no <%s> like that in the definition", device->ops->element);
}

static int add_to_config_elsewhere(DomainDef *def, void *userdata, Fault *f) {
        int r = add_to_config(def, userdata, f);
        Device *d = r < 0 ? NULL : (Device *) def->devices.items[def->devices.n - 1];

        if (d)
                d->address = (Address *) record_free(d->address ? &d->address->head : NULL);
        return r;
}

static int make_edit(Operation *o, Fault *f) {
        Attach *a = o->data;
        Device *device = a->hotplug ? a->hotplug->device : a->device;
        _cleanup_fault_ Fault taken = FAULT_INIT;
        int r;

        if (!a->spec.config)
                return 0;
        a->domain = o->domain;
        if (a->spec.update)
                return config_edit_new(o->domain, change_in_config, a, &a->edit, f);
        r = config_edit_new(o->domain, add_to_config, device, &a->edit, &taken);
        if (r < 0 && a->hotplug && !a->device->address)
                return config_edit_new(o->domain, add_to_config_elsewhere, device, &a->edit, f);
        fault_move(f, &taken);
        return r;
}

static int look(Operation *o, Fault *f) {
        const Domain *d = o->domain;
        Attach *a = o->data;
        int r;

        if (!a->spec.live && !d->config)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is transient: it has only its live definition", d->name);

        if (a->spec.live) {
                Disk *disk;

                r = (a->spec.update ? hotplug_update : hotplug_new)(d->live, a->device, &d->manager->defaults, a->caps, &a->hotplug, f);
                if (r < 0)
                        return r;
                disk = device_as_disk(a->hotplug->device);
                if (disk)
                        disk->force = a->spec.force;
                a->id = strdup(a->hotplug->device->id);
                if (!a->id)
                        return fault_oom(f);
        }
        if (!a->spec.live && a->device->ops->fill) { /* what is left to chance is decided once */
                r = a->device->ops->fill(a->device, d->config, f);
                if (r < 0)
                        return r;
        }
        return make_edit(o, f);
}

static void on_caps(CapsStore *store, const char *binary, QemuCaps *caps, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        a->caps_wait = caps_wait_free(a->caps_wait);
        if (!caps) {
                operation_continue(o, why);
                return;
        }
        a->caps = caps_ref(caps);
        r = look(o, &f);
        steps_continue(o->steps, r, &f);
}

static int begin_capabilities(void *userdata, Fault *f) {
        Operation *o = userdata;
        Domain *d = o->domain;
        Attach *a = o->data;
        QemuCaps *known;
        int r;

        if (a->spec.live && !(d->instance && d->instance->monitor_ready && d->live))
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: only its definition can be changed", d->name,
                                 domain_state_to_string(d->state));
        if (a->spec.live && plug_journal_check(d, f) < 0)
                return -EBUSY;
        known = caps_store_peek(d->manager->caps, domain_def(d)->emulator);
        if (!known)
                return caps_store_get(d->manager->caps, domain_def(d)->emulator, on_caps, o, &a->caps_wait);
        a->caps = caps_ref(known);
        r = look(o, f);
        return r < 0 ? r : 1;
}

/* --- what it needs, gathered as for a start --- */

/* Of all these steps: whatever was asked is not waited for any more. */
static int undo_gather(void *userdata) {
        Attach *a = ((Operation *) userdata)->data;

        a->companions = companions_abandon(a->companions); /* they end when nobody holds the other end of their connection */
        a->ports = domain_ports_free(a->ports);
        a->connections = domain_connections_free(a->connections);
        a->leases = domain_leases_free(a->leases);
        a->prepare = prepare_free(a->prepare);
        a->asked = qmp_request_free(a->asked);
        a->logs = domain_logs_free(a->logs);
        a->secrets = domain_secrets_free(a->secrets);
        a->volumes = domain_volumes_free(a->volumes);
        a->caps_wait = caps_wait_free(a->caps_wait);
        return 1;
}

static void on_volumes(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_volumes(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return !a->hotplug ? 1 : domain_volumes_new(o->domain, &a->hotplug->part, !a->spec.validate_only, on_volumes, o, &a->volumes, f);
}

static bool only_looks(const Attach *a) {
        return !a->hotplug || a->spec.validate_only;
}

static void on_secrets(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_secrets(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return only_looks(a) ? 1 : domain_secrets_new(o->domain, &a->hotplug->part, on_secrets, o, &a->secrets, f);
}

static void on_logs(void *userdata) {
        operation_continue(userdata, NULL);
}

static int begin_logs(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return only_looks(a) ? 1 : domain_logs_new(o->domain, &a->hotplug->part, false, on_logs, o, &a->logs, f);
}

static void on_fdsets(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;

        a->asked = qmp_request_free(a->asked);
        a->sets = json_incref(result);
        a->first_fdset = result ? qmp_read_next_fdset(result) : 0;
        operation_continue(o, why);
}

static int begin_fdsets(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return !a->hotplug ? 1 : domain_ask(o->domain, "query-fdsets", NULL, on_fdsets, o, &a->asked);
}

static void on_nodes(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;

        a->asked = qmp_request_free(a->asked);
        a->nodes = json_incref(result);
        operation_continue(o, why);
}

static int begin_nodes(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        if (!a->hotplug || !a->hotplug->before)
                return 1;
        return domain_ask(o->domain, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), on_nodes, o, &a->asked);
}

static void on_prepared(Prepare *p, int error, Fault *f, void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;

        if (error >= 0 && a->hotplug->before)
                error = hotplug_clean_before(a->hotplug, a->caps, a->nodes, a->sets, prepare_plan_of(p), f);
        steps_continue(o->steps, error, f);
}

static int begin_prepare(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;
        const PrepareSpec spec = {
                .hotplug = a->hotplug, .first_fdset = a->first_fdset, .caps = a->caps, .look_only = a->spec.validate_only,
        };

        return !a->hotplug ? 1 : prepare_new(o->domain, &spec, on_prepared, o, &a->prepare, f);
}

static void on_leases(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_leases(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;
        _cleanup_free_ ImageUse *uses = NULL;
        size_t n;
        int r;

        if (only_looks(a))
                return 1;
        r = prepare_images(a->prepare, &uses, &n);
        return r < 0 ? r : domain_leases_new(o->domain, uses, n, on_leases, o, &a->leases, f);
}

static void on_connections(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_connections(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return only_looks(a) ? 1 : domain_connections_new(o->domain, prepare_plan(a->prepare), on_connections, o, &a->connections, f);
}

static void on_ports(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (why) {
                operation_continue(o, why);
                return;
        }
        r = prepare_descriptors(a->prepare, &(Gathered) { a->logs, a->leases, a->ports, a->connections, a->secrets }, &f);
        steps_continue(o->steps, r, &f);
}

static int begin_ports(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return only_looks(a) ? 1 : domain_ports_new(o->domain, &a->hotplug->part, on_ports, o, &a->ports, f);
}

static void on_companions(const Fault *why, void *userdata) {
        operation_continue(userdata, why);
}

static int begin_networks(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return only_looks(a) ? 1 : companions_new(o->domain, &a->hotplug->part, a->prepare, a->secrets, on_companions, o, &a->companions, f);
}

/* --- journal: what follows changes something, and has to come to an end without us, too --- */

static int begin_journal(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;
        int r;

        if (only_looks(a))
                return 1;
        r = plug_journal_write(o->domain, &(PlugRecord) {
                .device = a->id, .way = PLUG_BACK, .commands = prepare_plan(a->prepare)->commands, .config = config_edit_before(a->edit),
                .next = a->hotplug->before ? NULL : a->hotplug->next, .companions = companions_to_json(a->companions), .limited = a->spec.update,
        }, f);
        return r < 0 ? r : 1;
}

/* What could not be taken back is, as soon as that is possible. */
static void close_journal(Operation *o, int error) {
        Attach *a = o->data;

        if (!a->id || only_looks(a) || !o->domain->instance)
                return;
        if (error < 0 && a->left)
                plug_journal_take_up(o->domain->instance);
        else
                plug_journal_drop(o->domain, a->id);
}

/* --- define: the persistent definition --- */

static int begin_define(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        return a->spec.validate_only ? 1 : config_edit_store(a->edit, o, f);
}

static int undo_define(void *userdata) {
        Operation *o = userdata;

        return config_edit_restore(((Attach *) o->data)->edit, o);
}

/* --- limit: what may go through an interface, which virtnetworkd keeps --- */

static const Interface *limited_interface(const Attach *a, const Interface **ret_before) {
        const Interface *before = a->hotplug && a->hotplug->before ? device_as_interface(a->hotplug->before) : NULL;
        const Interface *after = before ? device_as_interface(a->hotplug->device) : NULL;

        *ret_before = before;
        return after && !interface_same_bandwidth(before, after) ? after : NULL;
}

static int on_limited(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o = userdata;
        Attach *a = o->data;

        a->limit = sd_bus_slot_unref(a->limit);
        if (e)
                (void) fault_from_bus(e, &f);
        steps_continue(o->steps, e ? -f.error : 0, &f);
        return 0;
}

static int begin_limit(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;
        const Interface *before, *after = limited_interface(a, &before);
        int r;

        if (only_looks(a) || !after)
                return 1;
        a->limited = true; /* or half of it: a failure may come after the first direction */
        r = domain_port_limit(o->domain, before, after, on_limited, o, &a->limit);
        return r < 0 ? fault_set(f, FAULT_DISCONNECTED, -r, "virtnetworkd can't be told the bandwidth of %s: %s", a->id, strerror(-r)) : 0;
}

static int undo_limit(void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;
        const Interface *before;

        a->limit = sd_bus_slot_unref(a->limit);
        if (a->limited && !a->plugged && limited_interface(a, &before) && domain_port_limit(o->domain, before, before, NULL, NULL, NULL) < 0)
                (void) domain_warn(o->domain, "the bandwidth of %s is not what it was", a->id);
        return 1;
}

/* --- plug --- */

static Qmp *get_qmp(void *userdata) {
        return domain_qmp(((Operation *) userdata)->domain);
}

static int get_fd(int number, void *userdata) {
        const Attach *a = ((Operation *) userdata)->data;

        return prepare_fd(a->prepare, number);
}

static void plugged(Operation *o) {
        Domain *d = o->domain;
        Attach *a = o->data;
        Instance *i = d->instance;

        bool changed = a->hotplug->before;

        a->plugged = true;
        if (hotplug_take(a->hotplug, d->live) < 0)
                (void) domain_warn(d, "out of memory: not all of the device that was plugged in is known");
        d->live_generation++;
        instance_connect_consoles(i);
        instance_watch_addresses(i);
        guest_agent_look(i);
        if (changed && a->companions)
                companions_forget(i->companions, a->id); /* that of the medium before has ended with it */
        i->companions = companions_join(i->companions, TAKE_PTR(a->companions));
        domain_leases_set_pid(a->leases, i->qemu.pid);
        free_and_replace(&d->live_text, NULL);
        plug_journal_drop(d, a->id);
        if (!prepare_plan(a->prepare)->tidy ||
            plug_journal_write(d, &(PlugRecord) { .device = a->id, .way = PLUG_ON, .commands = prepare_plan(a->prepare)->tidy }, NULL) < 0)
                status_save(d);
        domain_changed(d, DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_DISKS);
}

/* QEMU has passed the wish on, and tells only that the tray is where it was. */
static void explain_lock(const Attach *a, Fault *f) {
        if (!a->hotplug->before || !fault_is_set(f) || !strstr(fault_text(f), "Tray of device"))
                return;
        fault_clear(f);
        fault_set(f, FAULT_QEMU, EBUSY, "the guest has locked the drive %s; it was told that it is to open it", a->id);
        fault_hint(f, "eject the medium in the guest, or open the drive by force");
}

static void on_script(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;

        a->left = a->left || qmp_script_left_something(a->script);
        a->script = qmp_script_free(a->script);
        if (steps_undoing(o->steps)) {
                steps_continue(o->steps, 0, NULL);
                return;
        }
        if (why) {
                _cleanup_fault_ Fault f = FAULT_INIT;

                (void) fault_copy(&f, why);
                explain_lock(a, &f);
                steps_continue(o->steps, -f.error, &f);
                return;
        }
        plugged(o);
        steps_settle(o->steps);
        operation_continue(o, NULL);
}

static int begin_plug(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        if (only_looks(a))
                return 1;

        const QmpScriptSpec spec = {
                .event = o->domain->manager->event, .get_qmp = get_qmp, .commands = prepare_plan(a->prepare)->commands,
                .get_fd = get_fd, .done = on_script, .userdata = o, .name = "plug",
        };

        return qmp_script_new(&spec, &a->script);
}

static int undo_plug(void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;

        if (!a->script)
                return 1;
        qmp_script_undo(a->script);
        return 0;
}

/* --- tidy: what was there before a change, and is not used any more --- */

static void on_tidy(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Attach *a = o->data;

        a->script = qmp_script_free(a->script);
        if (why)
                log_domain_debug(o->domain, "%s: %s", a->id, fault_text(why));
        operation_continue(o, NULL);
}

static int begin_tidy(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;

        if (only_looks(a) || !prepare_plan(a->prepare)->tidy)
                return 1;

        const QmpScriptSpec spec = {
                .event = o->domain->manager->event, .get_qmp = get_qmp, .commands = prepare_plan(a->prepare)->tidy, .done = on_tidy,
                .userdata = o, .go_on = true, .name = "tidy",
        };

        return qmp_script_new(&spec, &a->script);
}

void attach_device_deleted(Domain *d, const char *device) {
        const Attach *a = d->operation && d->operation->type == &attach_type ? d->operation->data : NULL;

        if (a && a->script)
                qmp_script_device_deleted(a->script, device);
}

/* --- the whole --- */

static int plan_commands(const LaunchPlan *plan, char ***ret) {
        int r = 0;

        for (size_t k = 0; k < plan->n_fds && r >= 0; k++)
                r = strv_pushf(ret, "descriptor %d: %s%s%s%s", plan->fds[k].number, plan_fd_kind_to_string(plan->fds[k].kind),
                               plan->fds[k].path ? " " : "", plan->fds[k].path ?: "", plan->fds[k].writable ? " (writable)" : "");
        if (r >= 0)
                r = qmp_commands_to_lines(plan->commands, ret);
        return r < 0 ? r : qmp_commands_to_lines(plan->tidy, ret);
}

static int begin_tell(void *userdata, Fault *f) {
        Operation *o = userdata;
        Attach *a = o->data;
        int r = 0;

        if (!a->spec.validate_only)
                return 1;
        if (a->prepare)
                r = plan_commands(prepare_plan(a->prepare), &a->plan);
        if (r >= 0 && a->edit)
                r = strv_pushf(&a->plan, "definition of %s", o->domain->name);
        return r < 0 ? fault_oom(f) : 1;
}

/* What has neither a target nor a MAC address was put behind the others of its kind. */
static const Device *find_added(const DomainDef *def, const Device *device) {
        const Device *found = domain_find_same(def, device);

        for (size_t i = 0; !found && def && i < def->devices.n; i++) {
                const Device *d = (const Device *) def->devices.items[def->devices.n - 1 - i];

                found = d->ops == device->ops ? d : NULL;
        }
        return found;
}

static void attach_finished(Operation *o, int error, const Fault *f) {
        Attach *a = o->data;
        const Device *device = a->id || error < 0 ? NULL : find_added(o->domain->config, a->device);

        close_journal(o, error);
        a->done(o->domain, a->id ?: (device ? device->id : ""), a->plan, error < 0 ? f : NULL, a->userdata);
}

static void attach_dropped(Operation *o, const Fault *f) {
        Attach *a = o->data;

        a->done(o->domain, "", NULL, f, a->userdata);
}

static const StepTable attach_steps = STEP_TABLE("attach",
        { "capabilities", begin_capabilities, undo_gather },
        { "volumes", begin_volumes, undo_gather },
        { "secrets", begin_secrets, undo_gather },
        { "logs", begin_logs, undo_gather },
        { "fdsets", begin_fdsets, undo_gather },
        { "nodes", begin_nodes, undo_gather },
        { "prepare", begin_prepare, undo_gather },
        { "leases", begin_leases, undo_gather },
        { "connections", begin_connections, undo_gather },
        { "ports", begin_ports, undo_gather },
        { "networks", begin_networks, undo_gather },
        { "journal", begin_journal, NULL },
        { "define", begin_define, undo_define },
        { "limit", begin_limit, undo_limit },
        { "plug", begin_plug, undo_plug },
        { "tidy", begin_tidy, NULL },
        { "tell", begin_tell, NULL },
);

static const OperationType attach_type = {
        .name = "attach",
        .steps = &attach_steps,
        .free_data = attach_free, .qemu_ended = operation_qemu_ended, .finished = attach_finished,
        .dropped = attach_dropped,
};

int attach_device(Domain *d, Device *device, const AttachSpec *spec, AttachDone done, void *userdata, Operation **ret, Fault *f) {
        bool said = spec->live || spec->config;
        Attach *a = new0(Attach, 1);

        assert(d && device && done);

        if (!a) {
                record_free(&device->head);
                return fault_oom(f);
        }
        *a = (Attach) {
                .device = device, .done = done, .userdata = userdata,
                .spec = *spec,
        };
        a->spec.live = said ? spec->live : d->live != NULL;
        a->spec.config = said ? spec->config : !d->live;
        return operation_begin(d, &attach_type, 0, a, ret, f);
}
