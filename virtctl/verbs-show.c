/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "clock.h"
#include "mem.h"
#include "show.h"
#include "str.h"
#include "table.h"
#include "terminal.h"
#include "values.h"
#include "verbs.h"

/* list and status. All that is known about a domain is read as JSON, which --json prints as it is. */

/* --- list --- */

static json_t *listed(Client *c, int *ret_status) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        *ret_status = client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "ListDomains", &reply, NULL);
        return *ret_status == 0 ? value_to_json(reply) : NULL;
}

static int by_name(const void *a, const void *b) {
        return strcmp(json_string_value(json_array_get(*(json_t *const *) a, 0)) ?: "",
                      json_string_value(json_array_get(*(json_t *const *) b, 0)) ?: "");
}

static json_t *list_to_json(json_t *const *sorted, size_t n) {
        static const char *const keys[] = { "name", "state", "uuid", "unit", "path" };
        json_t *out = json_array();

        for (size_t i = 0; i < n; i++) {
                json_t *o = json_object();

                for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
                        (void) json_object_set(o, keys[k], json_array_get(sorted[i], k));
                (void) json_array_append_new(out, o);
        }
        return out;
}

static int print_list(const Client *c, json_t *const *sorted, size_t n) {
        const char **cells = new0(const char *, (n + 1) * 4);

        if (!cells)
                return client_fail("out of memory");
        cells[0] = "NAME";
        cells[1] = "STATE";
        cells[2] = "UUID";
        cells[3] = "UNIT";
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < 4; k++) {
                        const char *s = json_string_value(json_array_get(sorted[i], k));

                        cells[(i + 1) * 4 + k] = is_empty(s) ? "-" : s;
                }
        print_table(cells, 4, n + 1);
        free(cells);
        if (!c->quiet)
                printf("\n%zu machine%s listed.\n", n, n == 1 ? "" : "s");
        return 0;
}

int verb_list(Client *c, int argc, char **argv) {
        int r;
        json_t *all = listed(c, &r), **sorted;
        size_t n = json_array_size(all);

        if (r != 0)
                return r;
        sorted = new0(json_t *, n);
        for (size_t i = 0; sorted && i < n; i++)
                sorted[i] = json_array_get(all, i);
        if (sorted) {
                qsort(sorted, n, sizeof(*sorted), by_name);
                r = c->json != JSON_OFF ? print_json(c, list_to_json(sorted, n)) : print_list(c, sorted, n);
        }
        free(sorted);
        json_decref(all);
        return r;
}

/* --- status --- */

static void show_state(const json_t *d) {
        const char *state = show_text(d, "State"), *pause = show_text(d, "PauseReason");
        char since[128];

        format_since(show_number(d, "StateTimestamp"), now_usec(CLOCK_REALTIME), since, sizeof(since));
        print_line("State", "%s%s%s (%s) since %s", terminal_state(state), state, terminal_plain(), show_text(d, "StateReason"), since);
        if (*pause)
                print_line("Stopped by", "%s", pause);
        print_line("Defined", "%s; %s", json_is_true(json_object_get(d, "Persistent")) ? "yes" : "no, it is gone when it ends",
             json_is_true(json_object_get(d, "Autostart")) ? "enabled" : "disabled");
}

static void show_machine(const json_t *d) {
        const json_t *vcpus = json_object_get(d, "VCPUs");
        char current[32], max[32];

        if (*show_text(d, "Unit"))
                print_line("Unit", "%s", show_text(d, "Unit"));
        if (*show_text(d, "MachineName"))
                print_line("Machine", "%s", show_text(d, "MachineName"));
        if (show_number(d, "MainPID") > 0)
                print_line("QEMU PID", "%llu", (unsigned long long) show_number(d, "MainPID"));
        print_line("Hardware", "%s %s, %s, %s", show_text(d, "Architecture"), show_text(d, "MachineType"), show_text(d, "Firmware"), show_text(d, "Type"));
        print_line("VCPUs", "%lld (max %lld)", json_integer_value(json_array_get(vcpus, 0)), json_integer_value(json_array_get(vcpus, 1)));
        format_size(show_number(d, "MemoryCurrent"), current, sizeof(current));
        format_size(show_number(d, "MemoryMax"), max, sizeof(max));
        print_line("Memory", "%s (max %s)", current, max);
}

/* Whatever says best what is in a drive. */
static const char *source_text(const json_t *source) {
        static const char *const keys[] = { "path", "url", "address", "volume" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (*show_text(source, keys[i]))
                        return show_text(source, keys[i]);
        return "";
}

static void show_display(const json_t *o) {
        json_int_t port = json_integer_value(json_object_get(o, "Port")), tls = json_integer_value(json_object_get(o, "TLSPort"));
        const char *type = show_text(o, "Type"), *listen = show_text(o, "Listen"), *socket = show_text(o, "Socket");

        if (port > 0 && tls > 0)
                print_line("Display", "%s at %s port %" JSON_INTEGER_FORMAT ", with TLS %" JSON_INTEGER_FORMAT, type, listen, port, tls);
        else if (port > 0 || tls > 0)
                print_line("Display", "%s at %s %s %" JSON_INTEGER_FORMAT, type, listen, port > 0 ? "port" : "TLS port", MAX(port, tls));
        else
                print_line("Display", "%s%s%s", type, *socket ? " at " : "", socket);
}

static void show_device(const json_t *interfaces) {
        const json_t *device = json_object_get(interfaces, QEMU1 ".Device"), *o;
        const char *path;

        o = json_object_get(interfaces, QEMU1 ".Disk");
        if (o) {
                path = source_text(json_object_get(o, "Source"));
                print_line(streq(show_text(o, "Kind"), "cdrom") ? "CD-ROM" : "Disk", "%s (%s) %s%s%s%s", show_text(o, "Target"), show_text(o, "Bus"),
                     *path ? path : "empty", *path ? ", " : "", *path ? show_text(o, "Format") : "",
                     json_is_true(json_object_get(o, "ReadOnly")) ? ", read-only" : "");
        }
        o = json_object_get(interfaces, QEMU1 ".Nic");
        if (o)
                print_line("Network", "%s %s (%s)%s", show_text(o, "MAC"), show_text(o, "Model"), show_text(o, "Type"),
                     json_is_true(json_object_get(o, "LinkUp")) ? "" : ", link down");
        o = json_object_get(interfaces, QEMU1 ".Graphics");
        if (o)
                show_display(o);
        o = json_object_get(interfaces, QEMU1 ".Console");
        if (o)
                print_line("Console", "%s%s%s", show_text(device, "Alias"), *show_text(o, "TTY") ? " on " : "", show_text(o, "TTY"));
}

static void show_addresses(const json_t *d) {
        json_t *a;
        size_t i;

        json_array_foreach(json_object_get(d, "Addresses"), i, a)
                print_line("Address", "%s/%lld on %s (%s)", json_string_value(json_array_get(a, 1)) ?: "?", json_integer_value(json_array_get(a, 2)),
                     json_string_value(json_array_get(a, 0)) ?: "", json_string_value(json_array_get(a, 3)) ?: "");
}

static void show_troubles(const json_t *d) {
        const json_t *error = json_object_get(d, "LastError"), *pending = json_object_get(d, "PendingChanges");
        const char *text = json_string_value(json_array_get(error, 0)) ?: "", *hint = json_string_value(json_array_get(error, 1)) ?: "";
        json_t *item;
        size_t i;

        json_array_foreach(json_object_get(d, "Warnings"), i, item)
                print_line("Warning", "%s", json_string_value(item));
        json_array_foreach(json_object_get(d, "Tainted"), i, item)
                print_line("Tainted", "%s", json_string_value(item));
        if (*text)
                print_line("Last error", "%s", text);
        if (*hint)
                print_line("", "%s", hint);
        json_array_foreach(pending, i, item)
                print_line(i == 0 ? "Next start" : "", "%s changes", json_string_value(item));
}

/* The object's own interfaces, and those of its devices by path. */
static json_t *read_domain(Client *c, const char *path, int *ret_status) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *prefix = strf("%s/device/", path);
        json_t *all, *domain, *devices = json_object(), *interfaces;
        const char *key;

        *ret_status = client_call(c, QEMU1_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &reply, NULL);
        if (*ret_status != 0) {
                json_decref(devices);
                return NULL;
        }
        all = value_to_json(reply);
        domain = json_incref(json_object_get(json_object_get(all, path), DOMAIN_INTERFACE));
        json_object_foreach(all, key, interfaces)
                if (prefix && str_after(key, prefix))
                        (void) json_object_set(devices, key, interfaces);
        (void) json_object_set_new(domain, "Devices", devices);
        json_decref(all);
        return domain;
}

static int show_one(Client *c, const char *name) {
        _cleanup_free_ char *path = NULL;
        json_t *d, *interfaces;
        const char *key;
        int r;

        r = client_domain(c, name, &path);
        if (r != 0)
                return r;
        d = read_domain(c, path, &r);
        if (r != 0)
                return r;
        if (c->json != JSON_OFF)
                return print_json(c, d);
        printf("%s%s%s\n", show_text(d, "Name"), *show_text(d, "Title") ? " - " : "", show_text(d, "Title"));
        print_line("UUID", "%s", show_text(d, "UUID"));
        show_state(d);
        show_machine(d);
        json_object_foreach(json_object_get(d, "Devices"), key, interfaces)
                show_device(interfaces);
        show_addresses(d);
        show_troubles(d);
        json_decref(d);
        return 0;
}

int verb_status(Client *c, int argc, char **argv) {
        int status = 0;

        for (int i = 0; i < argc; i++) {
                int r = show_one(c, argv[i]);

                status = status ?: r;
                if (i + 1 < argc && c->json == JSON_OFF)
                        putchar('\n');
        }
        return status;
}
