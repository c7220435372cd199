/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../device/device.h"
#include "../plan/domain.h"
#include "../run/domain-addresses.h"
#include "../run/instance.h"
#include "../run/operation.h"
#include "bus-auth.h"
#include "describe-bus.h"
#include "device-bus.h"
#include "mem.h"
#include "pending.h"
#include "service.h"
#include "statistics-bus.h"
#include "str.h"
#include "xml-lib.h"

/* org.virtbus.qemu1.Domain: the object and its properties. The methods are in domain-bus-*.c. */

/* --- what it does --- */

BUS_GETTER(get_state) {
        return sd_bus_message_append(reply, "s", domain_state_to_string(((Domain *) userdata)->state));
}

BUS_GETTER(get_reason) {
        return sd_bus_message_append(reply, "s", state_reason_to_string(((Domain *) userdata)->reason));
}

BUS_GETTER(get_persistent) {
        const Domain *d = userdata;

        return sd_bus_message_append(reply, "b", d->config || d->state == DOMAIN_BROKEN);
}

BUS_GETTER(get_machine_name) {
        const Domain *d = userdata;

        return sd_bus_message_append(reply, "s", d->instance && d->instance->machine_name ? d->instance->machine_name : "");
}

BUS_GETTER(get_pid) {
        const Domain *d = userdata;

        return sd_bus_message_append(reply, "u", d->instance ? (uint32_t) d->instance->qemu.pid : 0);
}

BUS_GETTER(get_last_error) {
        const Fault *f = &((Domain *) userdata)->last_error;

        return sd_bus_message_append(reply, "(ss)", fault_is_set(f) ? fault_text(f) : "", f->hint ?: "");
}

BUS_GETTER(get_job) {
        const Domain *d = userdata;
        const Job *j = d->operation ? d->operation->watcher : NULL;

        return sd_bus_message_append(reply, "(uo)", j ? job_id(j) : 0, j ? job_path(j) : "/");
}

static int append_address(const DomainAddress *a, void *userdata) {
        sd_bus_message *reply = userdata;
        int r = sd_bus_message_open_container(reply, 'r', "sayys");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", a->device);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', a->address.bytes, ip_bits(a->address.family) / 8);
        if (r >= 0)
                r = sd_bus_message_append(reply, "ys", (uint8_t) a->prefix, a->source);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_addresses) {
        const Domain *d = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "(sayys)");

        if (r >= 0)
                r = domain_each_address(d, append_address, reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- what it is --- */

BUS_GETTER(get_title) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "s", def && def->title ? def->title : "");
}

BUS_GETTER(get_description) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "s", def && def->description ? def->description : "");
}

BUS_GETTER(get_architecture) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "s", def && def->arch ? def->arch : "");
}

BUS_GETTER(get_machine_type) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "s", def && def->machine ? def->machine : "");
}

BUS_GETTER(get_type) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "s", def ? domain_type_to_string(def->type) : "");
}

BUS_GETTER(get_firmware) {
        const DomainDef *def = domain_def(userdata);
        const char *word = !def ? "" : def->os_firmware == OS_FIRMWARE_EFI || def->loader_type == LOADER_PFLASH ? "efi" : "bios";

        return sd_bus_message_append(reply, "s", word);
}

static uint32_t number_or(uint64_t n, uint64_t otherwise) {
        return (uint32_t) (n == NUMBER_UNSET ? otherwise : n);
}

BUS_GETTER(get_vcpus) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "(uu)", def ? number_or(def->vcpus_current, def->vcpus) : 0,
                                     def ? (uint32_t) def->vcpus : 0);
}

BUS_GETTER(get_topology) {
        const DomainDef *def = domain_def(userdata);

        /* Without a topology every vCPU is a socket, as QEMU is told. */
        return sd_bus_message_append(reply, "(uuu)", def ? number_or(def->cpu_sockets, def->vcpus) : 0,
                                     def ? number_or(def->cpu_cores, 1) : 0, def ? number_or(def->cpu_threads, 1) : 0);
}

BUS_GETTER(get_memory_max) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "t", def ? def->memory : 0);
}

BUS_GETTER(get_memory_current) {
        const DomainDef *def = domain_def(userdata);

        return sd_bus_message_append(reply, "t", def ? def->current_memory : 0);
}

BUS_GETTER(get_cpu) {
        const DomainDef *def = domain_def(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && def && cpu_mode_to_string(def->cpu_mode))
                r = sd_bus_message_append(reply, "{sv}", "mode", "s", cpu_mode_to_string(def->cpu_mode));
        if (r >= 0 && def && def->cpu_model)
                r = sd_bus_message_append(reply, "{sv}", "model", "s", def->cpu_model);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Boot order as the firmware sees it: by index, from 1. */
BUS_GETTER(get_boot_order) {
        Domain *d = userdata;
        const DomainDef *def = domain_def(d);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (uint64_t wanted = 1; def && wanted <= def->devices.n && r >= 0; wanted++)
                for (size_t i = 0; i < def->devices.n && r >= 0; i++) {
                        const Device *device = (const Device *) def->devices.items[i];
                        _cleanup_free_ char *device_path = NULL;

                        if (!device->id || device_boot_index(def, device) != wanted)
                                continue;
                        device_path = device_bus_path(d, device->id);
                        r = device_path ? sd_bus_message_append(reply, "o", device_path) : -ENOMEM;
                }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_metadata(sd_bus_message *reply, const xmlNode *node) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = xml_node_to_text(node, &text);
        return r < 0 ? r : sd_bus_message_append(reply, "{ss}", node->ns ? (const char *) node->ns->href : (const char *) node->name, text);
}

BUS_GETTER(get_metadata) {
        const DomainDef *def = domain_def(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{ss}");
        for (const xmlNode *n = def && def->metadata ? def->metadata->children : NULL; n && r >= 0; n = n->next)
                if (n->type == XML_ELEMENT_NODE)
                        r = append_metadata(reply, n);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Not EMITS_INVALIDATION for the large ones: sd-bus of systemd 252 aborts when an interface made of several vtables has one. */
#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable domain_property_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", bus_get_string, offsetof(Domain, name), EMITS),
        SD_BUS_PROPERTY("UUID", "ay", bus_get_id, offsetof(Domain, uuid), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Title", "s", get_title, 0, EMITS),
        SD_BUS_PROPERTY("Description", "s", get_description, 0, EMITS),
        SD_BUS_PROPERTY("Type", "s", get_type, 0, EMITS),
        SD_BUS_PROPERTY("State", "s", get_state, 0, EMITS),
        SD_BUS_PROPERTY("StateReason", "s", get_reason, 0, EMITS),
        SD_BUS_PROPERTY("StateTimestamp", "t", NULL, offsetof(Domain, state_usec), EMITS),
        SD_BUS_PROPERTY("StartTimestamp", "t", NULL, offsetof(Domain, start_usec), EMITS),
        SD_BUS_PROPERTY("PauseReason", "s", bus_get_string, offsetof(Domain, pause_reason), EMITS),
        SD_BUS_PROPERTY("Persistent", "b", get_persistent, 0, EMITS),
        SD_BUS_PROPERTY("Autostart", "b", bus_get_bool, offsetof(Domain, autostart), EMITS),
        SD_BUS_PROPERTY("ConfigGeneration", "t", NULL, offsetof(Domain, config_generation), EMITS),
        SD_BUS_PROPERTY("LiveGeneration", "t", NULL, offsetof(Domain, live_generation), EMITS),
        SD_BUS_PROPERTY("PendingChanges", "as", domain_get_pending, 0, EMITS),
        SD_BUS_PROPERTY("MachineName", "s", get_machine_name, 0, EMITS),
        SD_BUS_PROPERTY("Unit", "s", bus_get_string, offsetof(Domain, unit), EMITS),
        SD_BUS_PROPERTY("MainPID", "u", get_pid, 0, EMITS),
        SD_BUS_PROPERTY("Architecture", "s", get_architecture, 0, EMITS),
        SD_BUS_PROPERTY("MachineType", "s", get_machine_type, 0, EMITS),
        SD_BUS_PROPERTY("Firmware", "s", get_firmware, 0, EMITS),
        SD_BUS_PROPERTY("CPU", "a{sv}", get_cpu, 0, EMITS),
        SD_BUS_PROPERTY("VCPUs", "(uu)", get_vcpus, 0, EMITS),
        SD_BUS_PROPERTY("Topology", "(uuu)", get_topology, 0, EMITS),
        SD_BUS_PROPERTY("MemoryMax", "t", get_memory_max, 0, EMITS),
        SD_BUS_PROPERTY("MemoryCurrent", "t", get_memory_current, 0, EMITS),
        SD_BUS_PROPERTY("BootOrder", "ao", get_boot_order, 0, EMITS),
        SD_BUS_PROPERTY("Metadata", "a{ss}", get_metadata, 0, EMITS),
        SD_BUS_PROPERTY("Job", "(uo)", get_job, 0, EMITS),
        SD_BUS_PROPERTY("Addresses", "a(sayys)", get_addresses, 0, EMITS),
        SD_BUS_PROPERTY("Warnings", "as", bus_get_strings, offsetof(Domain, warnings), EMITS),
        SD_BUS_PROPERTY("Tainted", "as", bus_get_strings, offsetof(Domain, tainted), EMITS),
        SD_BUS_PROPERTY("LastError", "(ss)", get_last_error, 0, EMITS),
        SD_BUS_VTABLE_END
};

/* --- the object --- */

static const sd_bus_vtable *const domain_vtables[] = {
        domain_property_vtable, domain_life_vtable, domain_config_vtable, domain_info_vtable, domain_dump_vtable,
        domain_describe_vtable, statistics_domain_vtable, NULL
};

int domain_object_find(const char *path, void *userdata, void **ret) {
        const char *rest;
        Domain *d;

        if (domain_find_path(path, userdata, &d, &rest) <= 0 || *rest)
                return 0;
        *ret = d;
        return 1;
}

static int domain_enumerate(char ***ret, void *userdata) {
        _cleanup_strv_ char **paths = new0(char *, 1);
        Service *s = service_of(userdata);
        size_t n = 0;

        if (!paths)
                return -ENOMEM;
        if (s && s->manager)
                REGISTRY_FOREACH(Domain, d, s->manager->domains) {
                        char path[DOMAIN_PATH_MAX];

                        if (strv_push_nth(&paths, &n, domain_path(d, path)) < 0 || device_bus_enumerate(d, &paths, &n) < 0)
                                return -ENOMEM;
                }
        *ret = TAKE_PTR(paths);
        return 0;
}

int domain_object_details(void *object, sd_bus_message *call) {
        const Domain *d = object;

        return sd_bus_message_append(call, "{ss}{ss}", "domain", d->name, "uuid", d->uuid_string);
}

const BusObject domain_object = {
        .path = QEMU1_ROOT "/domain", .many = true, .interface = QEMU1_DOMAIN, .vtables = domain_vtables,
        .find = domain_object_find, .enumerate = domain_enumerate, .details = domain_object_details,
};
