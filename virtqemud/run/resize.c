/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resize.h"

#include "../device/device.h"
#include "../qmp/qmp-cmd.h"
#include "../qmp/qmp-script.h"
#include "config-edit.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "plug-journal.h"
#include "str.h"
#include "vcpus.h"

#define MIB (UINT64_C(1) << 20)
#define NAME "its size" /* in the plug journal */

typedef struct Resize {
        ResizeSpec spec;
        ConfigEdit *edit;
        bool waiting;
        QmpRequest *asked;
        json_t *commands;
        QmpScript *script;
        sd_event_source *timeout;
        char **plan;
        ResizeDone done;
        void *userdata;
} Resize;

static void resize_free(void *data) {
        Resize *z = data;

        qmp_script_free(z->script);
        qmp_request_free(z->asked);
        config_edit_free(z->edit);
        sd_event_source_disable_unref(z->timeout);
        json_decref(z->commands);
        strv_free(z->plan);
        free(z);
}

static const OperationType resize_type;

/* --- look: can it be so? --- */

static bool has_balloon(const DomainDef *def) {
        size_t i = 0;
        const Device *d = device_next(def, DEVICE_MEMBALLOON, &i);

        return d && device_slot(d, def) != SLOT_NONE;
}

static int check_memory(const Domain *d, const DomainDef *def, uint64_t bytes, bool live, Fault *f) {
        if (bytes < MIB || bytes > def->memory) {
                fault_set(f, FAULT_INVALID_ARGS, ERANGE, "%s has %" PRIu64 " MiB of memory at most and 1 MiB at least, not %" PRIu64, d->name,
                          def->memory / MIB, bytes / MIB);
                fault_hint(f, "the most it can have is <memory> of its definition, which counts from the next start on");
                return -ERANGE;
        }
        if (live && !has_balloon(def)) {
                fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s has no balloon, so its memory stays as it is while it runs", d->name);
                fault_hint(f, "give it <memballoon model='virtio'/>; or change its definition");
                return -EOPNOTSUPP;
        }
        return 0;
}

static int check_vcpus(const Domain *d, const DomainDef *def, uint64_t n, Fault *f) {
        if (n >= 1 && n <= def->vcpus)
                return 0;
        fault_set(f, FAULT_INVALID_ARGS, ERANGE, "%s has %" PRIu64 " CPUs at most and 1 at least, not %" PRIu64, d->name, def->vcpus, n);
        fault_hint(f, "the most it can have is <vcpu> of its definition, which counts from the next start on");
        return -ERANGE;
}

static int check(const Domain *d, const Resize *z, const DomainDef *def, bool live, Fault *f) {
        return z->spec.what == RESIZE_MEMORY ? check_memory(d, def, z->spec.value, live, f) : check_vcpus(d, def, z->spec.value, f);
}

static int edit(DomainDef *def, void *userdata, Fault *f) {
        const ResizeSpec *spec = userdata;

        if (spec->what == RESIZE_MEMORY)
                def->current_memory = spec->value;
        else {
                def->vcpus_current = spec->value == def->vcpus ? NUMBER_UNSET : spec->value;
                record_list_clear(&def->vcpu_list); /* it said the same */
        }
        return 0;
}

static int look(Domain *d, Resize *z, Fault *f) {
        int r = 0;

        if (z->spec.live && !(d->instance && d->instance->monitor_ready && d->live))
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: only its definition can be changed", d->name,
                                 domain_state_to_string(d->state));
        if (z->spec.live)
                r = plug_journal_check(d, f);
        if (z->spec.live && r >= 0)
                r = check(d, z, d->live, true, f);
        if (r >= 0 && z->spec.config && d->config)
                r = check(d, z, d->config, false, f);
        return r < 0 || !z->spec.config ? r : config_edit_new(d, edit, &z->spec, &z->edit, f);
}

/* --- commands: what QEMU is told --- */

static int add_command(Resize *z, const char *name, json_t *arguments, const char *undo, json_t *undo_arguments) {
        return args_command_undo(z->commands, name, arguments, undo, undo_arguments);
}

static int memory_commands(Operation *o) {
        Resize *z = o->data;

        return add_command(z, "balloon", json_pack("{s:I}", "value", (json_int_t) z->spec.value), "balloon",
                           json_pack("{s:I}", "value", (json_int_t) o->domain->live->current_memory));
}

static int plug_cpu(Resize *z, const json_t *cpu, uint64_t number) {
        _cleanup_free_ char *id = strf("vcpu%" PRIu64, number);
        json_t *arguments = json_pack("{s:s*, s:s*}", "driver", json_string_value(json_object_get(cpu, "type")), "id", id);

        if (!id || !arguments || json_object_update(arguments, json_object_get(cpu, "props")) < 0) {
                json_decref(arguments);
                return -ENOMEM;
        }
        return add_command(z, "device_add", arguments, "device_del", json_pack("{s:s}", "id", id));
}

/* QEMU's emulator (seen with 7.2) ends more often than not when a CPU goes. */
static int check_unplug(const Domain *d, const json_t *cpus, uint64_t n, Fault *f) {
        if (d->live->type == DOMAIN_TYPE_KVM || vcpus_count(cpus) <= n)
                return 0;
        fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "%s is emulated: QEMU can take CPUs away only from machines of type 'kvm'", d->name);
        fault_hint(f, "change its definition: it has fewer when it is started the next time");
        return -EOPNOTSUPP;
}

static int unplug_cpu(Resize *z, const json_t *cpu) {
        return args_command(z->commands, "device_del", json_pack("{s:s*}", "id", json_string_value(json_object_get(cpu, "qom-path"))));
}

/* QEMU lists the last one first; the first one stays. */
static int vcpu_commands(Resize *z, const json_t *cpus) {
        uint64_t n = vcpus_count(cpus);
        size_t total = json_array_size(cpus);
        int r = 0;

        for (size_t i = total; i-- > 0 && n < z->spec.value && r >= 0;)
                if (!vcpus_is_there(json_array_get(cpus, i))) {
                        r = plug_cpu(z, json_array_get(cpus, i), total - 1 - i);
                        n++;
                }
        for (size_t i = 0; i < total && n > z->spec.value && r >= 0; i++)
                if (vcpus_is_there(json_array_get(cpus, i))) {
                        r = unplug_cpu(z, json_array_get(cpus, i));
                        n--;
                }
        return r;
}

static void on_cpus(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o = userdata;
        Resize *z = o->data;

        int r;

        z->asked = qmp_request_free(z->asked);
        if (why)
                (void) fault_copy(&f, why);
        r = why ? -why->error : check_unplug(o->domain, result, z->spec.value, &f);
        steps_continue(o->steps, r < 0 ? r : vcpu_commands(z, result), &f);
}

static int begin_commands(void *userdata, Fault *f) {
        Operation *o = userdata;
        Resize *z = o->data;
        int r;

        z->commands = json_array();
        if (!z->commands)
                return -ENOMEM;
        if (!z->spec.live)
                return 1;
        if (z->spec.what == RESIZE_MEMORY) {
                r = memory_commands(o);
                return r < 0 ? r : 1;
        }
        return vcpus_ask(o->domain, on_cpus, o, &z->asked);
}

static int undo_commands(void *userdata) {
        Resize *z = ((Operation *) userdata)->data;

        z->asked = qmp_request_free(z->asked);
        return 1;
}

/* --- journal: if we don't live to see the end, it is all there or as it was --- */

static int begin_journal(void *userdata, Fault *f) {
        Operation *o = userdata;
        const Resize *z = o->data;
        PlugRecord record = { .device = NAME, .commands = z->commands, .config = config_edit_before(z->edit) };
        int r;

        if (!z->spec.live || z->spec.validate_only)
                return 1;
        record.way = z->spec.what == RESIZE_MEMORY ? PLUG_BACK : PLUG_COUNTED;
        record.vcpus = z->spec.what == RESIZE_MEMORY ? 0 : z->spec.value;
        r = plug_journal_write(o->domain, &record, f);
        return r < 0 ? r : 1;
}

/* --- define --- */

static int begin_define(void *userdata, Fault *f) {
        Operation *o = userdata;
        Resize *z = o->data;

        return z->spec.validate_only ? 1 : config_edit_store(z->edit, o, f);
}

static int undo_define(void *userdata) {
        Operation *o = userdata;

        return config_edit_restore(((Resize *) o->data)->edit, o);
}

/* --- change: QEMU and, for CPUs that go, its guest --- */

/* Each one that the guest has let go of counts, also when there are not enough of them in time. */
static void on_counted(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        Operation *o = userdata;
        Resize *z = o->data;
        uint64_t n;

        z->asked = qmp_request_free(z->asked);
        if (why) {
                z->waiting = false;
                operation_continue(o, why);
                return;
        }
        n = vcpus_count(result);
        vcpus_set_live(o->domain, n);
        if (n != z->spec.value)
                return; /* more of them may follow */
        z->waiting = false;
        z->timeout = sd_event_source_disable_unref(z->timeout);
        steps_settle(o->steps);
        operation_continue(o, NULL);
}

void resize_device_gone(Domain *d) {
        Resize *z = d->operation && d->operation->type == &resize_type ? d->operation->data : NULL;

        if (!z)
                vcpus_count_again(d);
        else if (z->waiting && !z->asked)
                (void) vcpus_ask(d, on_counted, d->operation, &z->asked);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Operation *o = userdata;
        Resize *z = o->data;

        z->waiting = false;
        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the guest of %s has not let go of all CPUs within %" PRIu64 " s", o->domain->name,
                  z->spec.timeout_usec / 1000000);
        fault_hint(&f, "it has %" PRIu64 " now; those that it lets go of later are gone then",
                   vcpus_live(o->domain));
        steps_continue(o->steps, -ETIMEDOUT, &f);
        return 0;
}

static void on_script(const Fault *why, void *userdata) {
        Operation *o = userdata;
        Resize *z = o->data;

        z->script = qmp_script_free(z->script);
        if (steps_undoing(o->steps)) {
                steps_continue(o->steps, 0, NULL);
                return;
        }
        if (!why && z->spec.what == RESIZE_VCPUS) {
                z->waiting = true;
                if (sd_event_add_time_relative(o->domain->manager->event, &z->timeout, CLOCK_MONOTONIC, z->spec.timeout_usec, 0, on_timeout, o) >= 0 &&
                    vcpus_ask(o->domain, on_counted, o, &z->asked) >= 0)
                        return;
        } else if (!why)
                steps_settle(o->steps);
        operation_continue(o, why);
}

static Qmp *get_qmp(void *userdata) {
        return domain_qmp(((Operation *) userdata)->domain);
}

static int begin_change(void *userdata, Fault *f) {
        Operation *o = userdata;
        Resize *z = o->data;

        if (!z->spec.live || z->spec.validate_only)
                return 1;

        const QmpScriptSpec spec = {
                .event = o->domain->manager->event, .get_qmp = get_qmp, .commands = z->commands, .done = on_script, .userdata = o, .name = "resize",
        };

        return qmp_script_new(&spec, &z->script);
}

static int undo_change(void *userdata) {
        Operation *o = userdata;
        Resize *z = o->data;

        z->waiting = false;
        z->asked = qmp_request_free(z->asked);
        z->timeout = sd_event_source_disable_unref(z->timeout);
        if (!z->script)
                return 1;
        qmp_script_undo(z->script);
        return 0;
}

static int begin_tell(void *userdata, Fault *f) {
        Operation *o = userdata;
        Resize *z = o->data;
        int r = 0;

        if (z->spec.validate_only)
                r = qmp_commands_to_lines(z->commands, &z->plan);
        if (r >= 0 && z->spec.validate_only && z->edit)
                r = strv_pushf(&z->plan, "definition of %s", o->domain->name);
        return r < 0 ? fault_oom(f) : 1;
}

static const StepTable resize_steps = STEP_TABLE("resize",
        { "commands", begin_commands, undo_commands },
        { "journal", begin_journal, NULL },
        { "define", begin_define, undo_define },
        { "change", begin_change, undo_change },
        { "tell", begin_tell, NULL },
);

static void resize_finished(Operation *o, int error, const Fault *f) {
        const Resize *z = o->data;

        plug_journal_end(o->domain, NAME);
        z->done(o->domain, z->plan, error < 0 ? f : NULL, z->userdata);
}

static void resize_dropped(Operation *o, const Fault *f) {
        const Resize *z = o->data;

        z->done(o->domain, NULL, f, z->userdata);
}

static const OperationType resize_type = {
        .name = "resize", .steps = &resize_steps, .free_data = resize_free,
        .qemu_ended = operation_qemu_ended, .finished = resize_finished, .dropped = resize_dropped,
};

int resize_domain(Domain *d, const ResizeSpec *spec, ResizeDone done, void *userdata, Operation **ret, Fault *f) {
        bool said = spec->live || spec->config;
        Resize *z = new0(Resize, 1);
        int r;

        assert(d && done);

        if (!z)
                return fault_oom(f);
        z->spec = *spec;
        z->spec.live = said ? spec->live : d->live != NULL;
        z->spec.config = said ? spec->config : !d->live;
        z->spec.timeout_usec = spec->timeout_usec ?: RESIZE_USEC;
        z->done = done;
        z->userdata = userdata;
        r = look(d, z, f);
        if (r < 0) {
                resize_free(z);
                return r;
        }
        return operation_begin(d, &resize_type, 0, z, ret, f);
}
