/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "rows.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* The host: what it is made of, its devices, and what VMs can be on it. */

/* --- host --- */

/* NULL: it was told why. */
static json_t *property(Client *c, const char *name, int *ret_status) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        *ret_status = client_call(c, QEMU1_ROOT, "org.freedesktop.DBus.Properties", "Get", &reply, "ss", MANAGER_INTERFACE, name);
        return *ret_status == 0 ? value_to_json(reply) : NULL;
}

/* Lists of lists become lists of objects with these keys. */
static const struct {
        const char *name;
        const char *keys[6];
} properties[] = {
        { "HostArchitecture", {} },
        { "HostCPU", {} },
        { "HostMemory", {} },
        { "HostTopology", { "cpu", "node", "socket", "die", "core" } },
        { "HostNodes", { "id", "memory", "free", "cpus", "distances", "pages" } },
        { "HostHugePages", { "size", "total", "free" } },
        { "IOMMUGroups", {} },
        { "KVMAvailable", {} },
        { "KVMFeatures", {} },
};

static json_t *read_host(Client *c, int *ret_status) {
        json_t *host = json_object();

        for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
                json_t *value = property(c, properties[i].name, ret_status), *rows;
                size_t n = 0;

                if (*ret_status != 0) {
                        json_decref(host);
                        return NULL;
                }
                while (n < ARRAY_SIZE(properties[i].keys) && properties[i].keys[n])
                        n++;
                rows = n > 0 ? rows_with_keys(value, properties[i].keys, n) : json_incref(value);
                json_decref(value);
                (void) json_object_set_new(host, properties[i].name, rows);
        }
        return host;
}

/* "0-3,8" of [0, 1, 2, 3, 8]; new string. */
static char *ranges_of(const json_t *numbers) {
        _cleanup_text_ Text t = TEXT_INIT;
        size_t n = json_array_size(numbers);

        for (size_t i = 0; i < n;) {
                json_int_t first = json_integer_value(json_array_get(numbers, i)), last = first;

                while (++i < n && json_integer_value(json_array_get(numbers, i)) == last + 1)
                        last++;
                text_addf(&t, "%s%" JSON_INTEGER_FORMAT, t.length > 0 ? "," : "", first);
                if (last > first)
                        text_addf(&t, "-%" JSON_INTEGER_FORMAT, last);
        }
        return text_finish(&t);
}

static char *words_of(const json_t *words) {
        _cleanup_text_ Text t = TEXT_INIT;

        for (size_t i = 0; i < json_array_size(words); i++)
                text_addf(&t, "%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(words, i)) ?: "");
        return text_finish(&t);
}

static void show_cpu(const json_t *host) {
        const json_t *cpu = json_object_get(host, "HostCPU");
        const char *model = show_text(cpu, "model");

        print_line("Architecture", "%s", show_text(host, "HostArchitecture"));
        print_line("CPU", "%s", *model ? model : "unknown");
        print_line("Topology", "%zu online; %" PRIu64 " sockets, %" PRIu64 " dies each, %" PRIu64 " cores each, %" PRIu64 " threads each",
             json_array_size(json_object_get(host, "HostTopology")), show_number(cpu, "sockets"), show_number(cpu, "dies"),
             show_number(cpu, "cores"), show_number(cpu, "threads"));
}

static void show_memory(const json_t *host) {
        const json_t *node, *pool;
        char all[32], unused[32];
        size_t i;

        json_array_foreach(json_object_get(host, "HostNodes"), i, node) {
                _cleanup_free_ char *cpus = ranges_of(json_object_get(node, "cpus"));

                format_size(show_number(node, "memory"), all, sizeof(all));
                format_size(show_number(node, "free"), unused, sizeof(unused));
                print_line("Node", "%" PRIu64 ": %s, %s free, CPUs %s", show_number(node, "id"), all, unused, is_empty(cpus) ? "none" : cpus);
        }
        json_array_foreach(json_object_get(host, "HostHugePages"), i, pool) {
                format_size(show_number(pool, "size"), all, sizeof(all));
                print_line("Large pages", "%s: %" PRIu64 ", %" PRIu64 " free", all, show_number(pool, "total"), show_number(pool, "free"));
        }
}

static void show_virtualization(const json_t *host) {
        _cleanup_free_ char *words = words_of(json_object_get(host, "KVMFeatures"));

        print_line("KVM", "%s%s%s", yes_no(json_is_true(json_object_get(host, "KVMAvailable"))), is_empty(words) ? "" : "; ", words ?: "");
        if (show_number(host, "IOMMUGroups") > 0)
                print_line("IOMMU", "%" PRIu64 " groups of devices", show_number(host, "IOMMUGroups"));
        else
                print_line("IOMMU", "none");
}

int verb_host(Client *c, int argc, char **argv) {
        json_t *host;
        int r;

        host = read_host(c, &r);
        if (!host)
                return r ?: FAILED;
        if (c->json != JSON_OFF)
                return print_json(c, host);
        show_cpu(host);
        show_memory(host);
        show_virtualization(host);
        json_decref(host);
        return 0;
}

/* --- host-devices --- */

/* Domains are known by their names. */
static void name_owners(Client *c, json_t *list) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_t *domains, *domain, *row;
        size_t i, k;

        if (client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "ListDomains", &reply, NULL) != 0)
                return;
        domains = value_to_json(reply);
        json_array_foreach(list, i, row) {
                const char *owner = show_text(row, "domain"), *found = NULL;

                json_array_foreach(domains, k, domain)
                        if (streq(json_string_value(json_array_get(domain, 4)) ?: "", owner))
                                found = json_string_value(json_array_get(domain, 0));
                (void) json_object_set_new(row, "domain", json_string(found ?: ""));
        }
        json_decref(domains);
}

int verb_host_devices(Client *c, int argc, char **argv) {
        static const char *const keys[] = { "name", "kind", "description", "driver", "domain", "path" };
        static const char *const columns[] = { "NAME", "KIND", "DESCRIPTION", "DRIVER", "VM" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_t *rows, *list;
        int r;

        r = client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "ListHostDevices", &reply, "sa{sv}", c->kind ?: "", 0);
        if (r != 0)
                return r;
        rows = value_to_json(reply);
        list = rows_with_keys(rows, keys, ARRAY_SIZE(keys));
        json_decref(rows);
        name_owners(c, list);
        if (c->json != JSON_OFF)
                return print_json(c, list);
        r = rows_print(c, list, columns, keys, ARRAY_SIZE(columns), "device");
        json_decref(list);
        return r;
}

/* --- capabilities --- */

/* KEY=VALUE, of those that a domain's capabilities depend on. */
typedef struct Choice {
        const char *key, *value;
} Choice;

static int read_choices(int argc, char **argv, Choice *choices, size_t n) {
        for (int i = 0; i < argc; i++) {
                size_t k = 0;

                while (k < n && !(str_after(argv[i], choices[k].key) && argv[i][strlen(choices[k].key)] == '='))
                        k++;
                if (k == n) {
                        (void) client_fail("%s: expected emulator=PATH, arch=NAME, machine=NAME or type=kvm|qemu", argv[i]);
                        return USAGE;
                }
                choices[k].value = argv[i] + strlen(choices[k].key) + 1;
        }
        return 0;
}

static int export_text(Client *c, const char *what, const Choice *choices, size_t n) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        sd_bus_message *call;
        const char *text;
        int r;

        r = client_new_call(c, &call, QEMU1_ROOT, MANAGER_INTERFACE, "ExportCapabilities");
        if (r != 0)
                return r;
        r = sd_bus_message_append(call, "s", what);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        for (size_t i = 0; i < n && r >= 0; i++)
                if (choices[i].value)
                        r = sd_bus_message_append(call, "{sv}", choices[i].key, "s", choices[i].value);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0) {
                sd_bus_message_unref(call);
                return client_garbled(r);
        }
        r = client_send(c, call, &reply);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return client_garbled(r);
        fputs(text, stdout);
        return 0;
}

enum { EMULATOR, ARCH, MACHINE, TYPE, N_CHOICES };

static int print_domain_capabilities(Client *c, const Choice *choices) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "DomainCapabilities", &reply, "sssa{sv}", choices[EMULATOR].value ?: "",
                            choices[MACHINE].value ?: "", choices[TYPE].value ?: "", 1, "arch", "s", choices[ARCH].value ?: "");

        return r != 0 ? r : print_json(c, value_to_json(reply));
}

int verb_capabilities(Client *c, int argc, char **argv) {
        Choice choices[N_CHOICES] = {
                [EMULATOR] = { .key = "emulator" }, [ARCH] = { .key = "arch" },
                [MACHINE] = { .key = "machine" }, [TYPE] = { .key = "type" },
        };
        int r;

        if (!c->domain && argc > 0) {
                (void) client_fail("%s: that is for --domain", argv[0]);
                return USAGE;
        }
        if (!c->domain && c->json != JSON_OFF) {
                (void) client_fail("--json is for capabilities --domain; what the host is made of, virtctl host --json=pretty says");
                return USAGE;
        }
        r = read_choices(argc, argv, choices, N_CHOICES);
        if (r != 0)
                return r;
        if (c->domain && c->json != JSON_OFF)
                return print_domain_capabilities(c, choices);
        return export_text(c, c->domain ? "domain" : "host", choices, N_CHOICES);
}
