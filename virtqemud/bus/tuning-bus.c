/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../run/retune.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "device-plug.h"
#include "mem.h"
#include "service.h"
#include "str.h"

/* org.virtbus.qemu1.Tuning, on the objects of domains: what plan/tuning.h knows, as properties, and the one method that sets them. */

/* --- properties --- */

static int append_pins(sd_bus_message *reply, const TuningValue *v) {
        bool threads = v->row->type == TUNING_THREADS;
        int r = sd_bus_message_open_container(reply, 'a', threads ? "u" : "(us)");

        for (size_t i = 0; i < v->n_pins && r >= 0; i++)
                r = threads ? sd_bus_message_append(reply, "u", (uint32_t) v->pins[i].thread)
                            : sd_bus_message_append(reply, "(us)", (uint32_t) v->pins[i].thread, v->pins[i].cpus);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_absent(sd_bus_message *reply, const TuningRow *row) {
        if (row->type == TUNING_NUMBER)
                return sd_bus_message_append(reply, "t", UINT64_MAX);
        return row->type == TUNING_TEXT ? sd_bus_message_append(reply, "s", "") : sd_bus_message_append(reply, tuning_signature(row->type), 0);
}

BUS_GETTER(get_tuning) {
        const DomainDef *def = domain_def(userdata);
        const TuningRow *row = tuning_find(property);
        _cleanup_tuning_value_ TuningValue v = {};
        int r;

        if (!def)
                return append_absent(reply, row);
        r = tuning_get(def, row, &v);
        if (r < 0)
                return r;
        switch (row->type) {
        case TUNING_NUMBER:
                return sd_bus_message_append(reply, "t", v.number);
        case TUNING_TEXT:
                return sd_bus_message_append(reply, "s", v.text);
        case TUNING_PINS:
        case TUNING_THREADS:
                break;
        }
        return append_pins(reply, &v);
}

/* --- SetProperties --- */

typedef struct Values {
        TuningValue *items;
        size_t n, allocated;
} Values;

static void values_clear(Values *v) {
        for (size_t i = 0; i < v->n; i++)
                tuning_value_clear(&v->items[i]);
        free(v->items);
}

static int read_list(sd_bus_message *m, TuningValue *v) {
        bool threads = v->row->type == TUNING_THREADS;
        size_t allocated = 0;
        uint32_t thread;
        int r = sd_bus_message_enter_container(m, 'a', threads ? "u" : "(us)");

        while (r >= 0) {
                const char *cpus = NULL;

                r = threads ? sd_bus_message_read(m, "u", &thread) : sd_bus_message_read(m, "(us)", &thread, &cpus);
                if (r <= 0)
                        break;
                if (!GROW(v->pins, allocated, v->n_pins + 1))
                        return -ENOMEM;
                v->pins[v->n_pins++] = (TuningPin) { thread, cpus };
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_value(sd_bus_message *m, TuningValue *v, Fault *f) {
        const char *signature = tuning_signature(v->row->type);
        int r = sd_bus_message_enter_container(m, 'v', signature);

        if (r < 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s must have type '%s'", v->row->name, signature);
        switch (v->row->type) {
        case TUNING_NUMBER:
                r = sd_bus_message_read(m, "t", &v->number);
                break;
        case TUNING_TEXT:
                r = sd_bus_message_read(m, "s", &v->text);
                break;
        case TUNING_PINS:
        case TUNING_THREADS:
                r = read_list(m, v);
                break;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_one(sd_bus_message *m, Values *values, Fault *f) {
        TuningValue v = {};
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        v.row = tuning_find(name);
        if (!v.row) {
                fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no property that can be set", name);
                fault_hint(f, "those of org.virtbus.qemu1.Tuning can; memory and CPUs have methods of their own");
                return -EINVAL;
        }
        if (!GROW(values->items, values->allocated, values->n + 1))
                return -ENOMEM;
        values->items[values->n++] = v;
        return read_value(m, &values->items[values->n - 1], f);
}

static int read_values(sd_bus_message *m, Values *values, Fault *f) {
        int r = sd_bus_message_enter_container(m, 'a', "(sv)");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sv")) > 0) {
                r = read_one(m, values, f);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static void on_retuned(Domain *d, char **plan, const Fault *why, void *userdata) {
        device_plug_answer_plan(userdata, plan, why);
}

static int set_properties(sd_bus_message *m, Domain *d, Fault *f) {
        _cleanup_(values_clear) Values values = {};
        uint64_t flags;
        Operation *o;
        int r = read_values(m, &values, f);

        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG | BUS_FLAG_VALIDATE_ONLY, &flags, NULL, 0, f);
        if (r < 0)
                return r;

        const RetuneSpec spec = {
                .values = values.items, .n = values.n, .live = flags & BUS_FLAG_LIVE, .config = flags & BUS_FLAG_CONFIG,
                .validate_only = flags & BUS_FLAG_VALIDATE_ONLY,
        };

        r = retune_domain(d, &spec, on_retuned, sd_bus_message_ref(m), &o, f);
        if (r < 0)
                sd_bus_message_unref(m);
        else
                device_plug_show_job(o);
        return r;
}

BUS_HANDLER(method_set_properties, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = set_properties(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- the interface --- */

#define TUNING(name, signature) SD_BUS_PROPERTY((name), (signature), get_tuning, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)

static const sd_bus_vtable tuning_vtable[] = {
        SD_BUS_VTABLE_START(0),
        TUNING("CPUWeight", "t"),
        TUNING("CPUQuotaPerSecUSec", "t"),
        TUNING("CPUQuotaPeriodUSec", "t"),
        TUNING("VCPUQuotaPerSecUSec", "t"),
        TUNING("VCPUQuotaPeriodUSec", "t"),
        TUNING("EmulatorQuotaPerSecUSec", "t"),
        TUNING("EmulatorQuotaPeriodUSec", "t"),
        TUNING("IOThreadQuotaPerSecUSec", "t"),
        TUNING("IOThreadQuotaPeriodUSec", "t"),
        TUNING("HostMemoryMax", "t"),
        TUNING("HostMemoryHigh", "t"),
        TUNING("HostMemorySwapMax", "t"),
        TUNING("IOWeight", "t"),
        TUNING("AllowedCPUs", "s"),
        TUNING("EmulatorPin", "s"),
        TUNING("VCPUPins", "a(us)"),
        TUNING("IOThreads", "au"),
        TUNING("IOThreadPins", "a(us)"),
        SD_BUS_METHOD_WITH_NAMES("SetProperties", "a(sv)ta{sv}", SD_BUS_PARAM(properties) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "as",
                                 SD_BUS_PARAM(plan), method_set_properties, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const tuning_vtables[] = { tuning_vtable, NULL };

const BusObject tuning_object = {
        .path = QEMU1_ROOT "/domain", .many = true, .interface = QEMU1_TUNING, .vtables = tuning_vtables,
        .find = domain_object_find, .details = domain_object_details,
};
