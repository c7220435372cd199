/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "capabilities-bus.h"

#include "../plan/domain-caps.h"
#include "../run/emulators.h"
#include "../run/firmware-files.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "host-bus.h"
#include "mem.h"
#include "str.h"

#define CALLS_MAX 256u      /* that wait for a QEMU at a time */

typedef struct CapabilityCall CapabilityCall;

/* What is asked for; the strings are the message's. */
typedef struct Wanted {
        const char *emulator, *arch, *machine, *type;
} Wanted;

struct CapabilityCall {
        Service *service;
        sd_bus_message *message;
        Wanted wanted;
        bool as_xml;
        CapsWait *wait;
        EmulatorScan *scan;
        CapabilityCall *next;
};

static CapabilityCall *call_free(CapabilityCall *c) {
        CapabilityCall **p;

        if (!c)
                return NULL;
        for (p = &c->service->capability_calls; *p && *p != c; p = &(*p)->next)
                ;
        if (*p)
                *p = c->next;
        caps_wait_free(c->wait);
        emulator_scan_free(c->scan);
        sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}

void capability_calls_clear(Service *s) {
        assert(s);

        while (s->capability_calls)
                call_free(s->capability_calls);
}

static int call_new(Service *s, sd_bus_message *m, const Wanted *wanted, bool as_xml, CapabilityCall **ret, Fault *f) {
        unsigned n = 0;
        CapabilityCall *c;

        for (c = s->capability_calls; c; c = c->next)
                n++;
        if (n >= CALLS_MAX)
                return fault_set(f, FAULT_LIMIT, EUSERS, "%u others wait for capabilities already", n);
        c = new0(CapabilityCall, 1);
        if (!c)
                return fault_oom(f);
        c->service = s;
        c->message = sd_bus_message_ref(m);
        c->wanted = *wanted;
        c->as_xml = as_xml;
        c->next = s->capability_calls;
        s->capability_calls = c;
        *ret = c;
        return 0;
}

static void refuse(CapabilityCall *c, const Fault *f, int r) {
        (void) bus_reply_fault(c->message, f, r);
        call_free(c);
}

/* --- the answer as values --- */

/* A row "key: variant" of an a{sv} whose value is filled by the caller. */
static int open_entry(sd_bus_message *reply, const char *key, const char *type) {
        int r = sd_bus_message_open_container(reply, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", key);
        return r < 0 ? r : sd_bus_message_open_container(reply, 'v', type);
}

static int close_entry(sd_bus_message *reply) {
        int r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_machines(sd_bus_message *reply, const QemuCaps *caps) {
        int r = open_entry(reply, "machines", "a(ssub)");

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssub)");
        for (size_t i = 0; i < caps->n_machines && r >= 0; i++) {
                const CapsMachine *m = &caps->machines[i];

                r = sd_bus_message_append(reply, "(ssub)", m->name, m->alias ?: "", m->cpu_max, (int) m->deprecated);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : close_entry(reply);
}

static int append_models(sd_bus_message *reply, const DomainCaps *c) {
        int r = open_entry(reply, "cpu-models", "a(sbb)");

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sbb)");
        for (size_t i = 0; i < c->qemu->n_cpus && r >= 0; i++) {
                const CapsCpu *cpu = &c->qemu->cpus[i];

                r = sd_bus_message_append(reply, "(sbb)", cpu->name, (int) domain_caps_cpu_usable(c, cpu), (int) cpu->deprecated);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : close_entry(reply);
}

static int append_enum(sd_bus_message *reply, const OfferedEnum *e) {
        int r = sd_bus_message_open_container(reply, 'e', "sas");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", e->name);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, e->words);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Those of one group stand together. */
static int append_group(sd_bus_message *reply, const DomainCaps *c, size_t *i) {
        const char *group = c->enums[*i].group;
        int r = sd_bus_message_open_container(reply, 'e', "sa{sas}");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", group);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sas}");
        for (; *i < c->n_enums && streq(c->enums[*i].group, group) && r >= 0; (*i)++)
                r = append_enum(reply, &c->enums[*i]);
        return r < 0 ? r : close_entry(reply);
}

static int append_enums(sd_bus_message *reply, const DomainCaps *c) {
        int r = open_entry(reply, "enums", "a{sa{sas}}");

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sa{sas}}");
        for (size_t i = 0; i < c->n_enums && r >= 0;)
                r = append_group(reply, c, &i);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : close_entry(reply);
}

static int append_features(sd_bus_message *reply, const DomainCaps *c) {
        int r = open_entry(reply, "features", "a{sb}");

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sb}");
        for (size_t i = 0; i < c->n_features && r >= 0; i++)
                r = sd_bus_message_append(reply, "{sb}", c->features[i].name, (int) c->features[i].supported);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : close_entry(reply);
}

static int append_firmware(sd_bus_message *reply, const DomainCaps *c) {
        int r = open_entry(reply, "firmware", "a(ssbb)");

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssbb)");
        for (size_t i = 0; i < c->n_firmware && r >= 0; i++) {
                const FirmwareOffer *o = &c->firmware[i];

                r = sd_bus_message_append(reply, "(ssbb)", o->loader, o->nvram_template, (int) o->secure_boot, (int) o->enrolled_keys);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : close_entry(reply);
}

static int append_all(sd_bus_message *reply, const DomainCaps *c) {
        const uint32_t v = c->qemu->version;
        _cleanup_free_ char *version = strf("%u.%u.%u", v / 1000000, v / 1000 % 1000, v % 1000);
        int r = version ? sd_bus_message_open_container(reply, 'a', "{sv}") : -ENOMEM;

        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}", "emulator", "s", c->emulator, "version", "s", version,
                                          "arch", "s", c->qemu->target, "machine", "s", c->machine,
                                          "type", "s", domain_type_to_string(c->type), "max-vcpus", "u", c->cpu_max);
        if (r >= 0)
                r = append_machines(reply, c->qemu);
        if (r >= 0)
                r = append_models(reply, c);
        if (r >= 0)
                r = append_enums(reply, c);
        if (r >= 0)
                r = append_features(reply, c);
        if (r >= 0)
                r = append_firmware(reply, c);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- what guests may be --- */

static int answer(CapabilityCall *c, const DomainCaps *offered) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *text = NULL;
        int r = sd_bus_message_new_method_return(c->message, &reply);

        if (r >= 0 && c->as_xml)
                r = domain_caps_to_xml(offered, &text);
        if (r >= 0)
                r = text ? sd_bus_message_append(reply, "s", text) : append_all(reply, offered);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int offer(CapabilityCall *c, const char *binary, QemuCaps *caps, DomainCaps **ret, Fault *f) {
        const Manager *m = c->service->manager;
        const CapsMachine *machine = caps_machine(caps, c->wanted.machine);
        DomainType type = DOMAIN_TYPE_NONE;
        FirmwareOffer *firmware = NULL;
        size_t n_firmware = 0;
        int r = 0;

        if (!is_empty(c->wanted.arch) && !streq(c->wanted.arch, caps->target))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s emulates %s, not %s", binary, caps->target, c->wanted.arch);
        if (!is_empty(c->wanted.type))
                type = domain_type_from_string(c->wanted.type);
        if (type < 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no type of domain: kvm or qemu", c->wanted.type);
        if (machine)
                r = firmware_files_offers(m, caps->target, machine->name, &firmware, &n_firmware);
        if (r < 0)
                return fault_oom(f);
        return domain_caps_new(caps, binary, c->wanted.machine, type, &m->defaults, firmware, n_firmware, ret, f);
}

static void on_caps(CapsStore *store, const char *binary, QemuCaps *caps, const Fault *why, void *userdata) {
        _cleanup_(domain_caps_freep) DomainCaps *offered = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        CapabilityCall *c = userdata;
        int r;

        if (!caps) {
                refuse(c, why, -why->error);
                return;
        }
        r = offer(c, binary, caps, &offered, &f);
        if (r >= 0)
                r = answer(c, offered);
        if (r < 0)
                refuse(c, &f, r);
        else
                call_free(c);
}

/* No caller makes us run a program that is not one of those we know. */
static int choose_emulator(const Manager *m, const Wanted *w, char **ret, Fault *f) {
        bool foreign = !is_empty(w->arch) && !streq(w->arch, m->arch);
        _cleanup_free_ char *of_arch = foreign ? strf("/usr/bin/qemu-system-%s", w->arch) : NULL;
        const char *path = !is_empty(w->emulator) ? w->emulator : of_arch ?: m->defaults.emulator;
        _cleanup_strv_ char **paths = NULL;
        int r = emulators_list(m, &paths);

        if (r >= 0)
                r = free_and_strdup(ret, path);
        if (r < 0)
                return fault_oom(f);
        if (path == m->defaults.emulator || strv_contains(paths, path))
                return 0;
        fault_set(f, FAULT_NOT_SUPPORTED, ENOENT, "\"%.256s\" is none of the QEMUs that are installed", path);
        if (paths) {
                _cleanup_free_ char *all = strv_join(paths, ", ");

                fault_hint(f, "there are %s", all ?: "others");
        }
        return -ENOENT;
}

/* Answers the message, now or later. */
static int ask_domain(Service *s, sd_bus_message *m, const Wanted *wanted, bool as_xml, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *emulator = NULL;
        CapabilityCall *c;
        int r = choose_emulator(s->manager, wanted, &emulator, &f);

        if (r >= 0)
                r = call_new(s, m, wanted, as_xml, &c, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        /* `c` is gone when the answer is known already. */
        r = caps_store_get(s->manager->caps, emulator, on_caps, c, &c->wait);
        if (r < 0)
                call_free(c);
        return r < 0 ? r : 1;
}

BUS_HANDLER(method_domain_capabilities, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Wanted wanted = {};
        const BusOption options[] = { { "arch", 's', &wanted.arch } };
        int r;

        r = sd_bus_message_read(m, "sss", &wanted.emulator, &wanted.machine, &wanted.type);
        if (r >= 0)
                r = bus_read_dict(m, options, ARRAY_SIZE(options), &f);
        return r < 0 ? fault_to_bus(&f, r, error) : ask_domain(service_of(userdata), m, &wanted, false, error);
}

/* --- the host --- */

static void on_emulators(const HostEmulator *emulators, size_t n, void *userdata) {
        CapabilityCall *c = userdata;
        const HostInfo *host = service_host_info(c->service);
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        int r = host ? host_caps_to_xml(host, emulators, n, &text) : -ENOMEM;

        if (r >= 0)
                r = sd_bus_reply_method_return(c->message, "s", text);
        if (r < 0)
                refuse(c, &f, r);
        else
                call_free(c);
}

static int ask_host(Service *s, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        CapabilityCall *c;
        int r = call_new(s, m, &(Wanted) {}, true, &c, &f);

        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = emulators_ask(s->manager, on_emulators, c, &c->scan);
        if (r < 0)
                call_free(c);
        return r < 0 ? r : 1;
}

BUS_HANDLER(method_export_capabilities, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Wanted wanted = {};
        const BusOption options[] = {
                { "emulator", 's', &wanted.emulator }, { "arch", 's', &wanted.arch },
                { "machine", 's', &wanted.machine }, { "type", 's', &wanted.type },
        };
        const char *what;
        int r;

        r = sd_bus_message_read(m, "s", &what);
        if (r >= 0 && !streq(what, "host") && !streq(what, "domain"))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "there are capabilities of \"host\" and \"domain\", not \"%.64s\"",
                              what);
        if (r >= 0)
                r = bus_read_dict(m, options, streq(what, "domain") ? ARRAY_SIZE(options) : 0, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        if (streq(what, "host"))
                return ask_host(service_of(userdata), m, error);
        return ask_domain(service_of(userdata), m, &wanted, true, error);
}

const sd_bus_vtable manager_capabilities_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("DomainCapabilities", "sssa{sv}",
                                 SD_BUS_PARAM(emulator) SD_BUS_PARAM(machine) SD_BUS_PARAM(type) SD_BUS_PARAM(options), "a{sv}",
                                 SD_BUS_PARAM(capabilities), method_domain_capabilities, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ExportCapabilities", "sa{sv}", SD_BUS_PARAM(what) SD_BUS_PARAM(options), "s", SD_BUS_PARAM(text),
                                 method_export_capabilities, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};
