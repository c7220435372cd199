/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "disk-sizes.h"
#include "domains.h"
#include "log-tail.h"
#include "pager.h"
#include "rows.h"
#include "show-vm.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* status. All that is known is read as JSON, which --json prints as it is; only what belongs to the VM is asked for. */

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"
#define LINES 10

/* Bits of GetStatistics(): cpu, memory, balloon, guest-memory, block, block-backing, net. */
#define GROUPS (UINT64_C(2) | 8 | 16 | 32 | 64 | 512)
/* How large images are. QEMU looks at them for that, and stands if their server is down: so it is asked seldom. */
#define GROUP_SIZES UINT64_C(128)
#define SIZES_MAX_AGE_USEC (UINT64_C(600) * 1000 * 1000)
#define MAX_AGE_USEC UINT64_C(1000000)

/* --- one VM --- */

static int read_lines(const Client *c, uint64_t *ret) {
        const char *text = option_given(c, "lines", 0);

        *ret = LINES;
        if (!text || (parse_u64(text, 10, ret) >= 0 && *ret <= 10000))
                return 0;
        (void) client_fail("--lines=%s: expected a number up to 10000", text);
        return USAGE;
}

static json_t *read_pending(Client *c, const char *path) {
        static const char *const keys[] = { "device", "setting", "running", "defined", "when" };
        json_auto_t *rows = ask_json(c, path, DOMAIN_INTERFACE, "ListPendingChanges", NULL);

        return rows ? rows_with_keys(rows, keys, ARRAY_SIZE(keys)) : NULL;
}

static json_t *read_job(Client *c, const json_t *vm) {
        const char *job = json_string_value(json_array_get(json_object_get(vm, "Job"), 1)) ?: "/";
        json_t *all = streq(job, "/") ? NULL : ask_json(c, job, PROPERTIES_INTERFACE, "GetAll", "s", "org.virtbus.job1");

        if (all)
                (void) json_object_set_new(all, "Path", json_string(job));
        return all;
}

static json_t *read_groups(Client *c, const char *path, uint64_t groups, uint64_t max_age_usec) {
        json_auto_t *rows = ask_json(c, QEMU1_ROOT, MANAGER_INTERFACE, "GetStatistics", "aota{sv}", 1, path, groups, 1, "max-age-usec", "t", max_age_usec);

        return json_incref(json_array_get(json_array_get(rows, 0), 1));
}

static json_t *read_statistics(Client *c, const char *path) {
        json_t *all = read_groups(c, path, GROUPS, MAX_AGE_USEC);
        json_auto_t *sizes = read_groups(c, path, GROUP_SIZES, SIZES_MAX_AGE_USEC);

        if (all)
                (void) json_object_update_missing(all, sizes);
        return all;
}

static void set_if_known(json_t *vm, const char *key, json_t *value) {
        if (value)
                (void) json_object_set_new(vm, key, value);
}

static json_t *read_vm(Client *c, const char *path, uint64_t lines, int *ret_status) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_t *vm;

        *ret_status = client_call(c, path, PROPERTIES_INTERFACE, "GetAll", &reply, "s", DOMAIN_INTERFACE);
        if (*ret_status != 0)
                return NULL;
        vm = value_to_json(reply);
        (void) json_object_set_new(vm, "Path", json_string(path));
        set_if_known(vm, "Devices", ask_json(c, path, DOMAIN_INTERFACE, "GetDevices", NULL));
        /* Of one that runs QEMU says it, with its statistics. */
        if (streq(show_text(vm, "State"), "shutoff"))
                disk_sizes_add(c, json_object_get(vm, "Devices"));
        set_if_known(vm, "Statistics", read_statistics(c, path));
        set_if_known(vm, "Agent", ask_json(c, path, PROPERTIES_INTERFACE, "GetAll", "s", QEMU1 ".Guest"));
        set_if_known(vm, "JobUnderWay", read_job(c, vm));
        set_if_known(vm, "Pending", read_pending(c, path));
        set_if_known(vm, "Log", log_tail(c, show_text(vm, "UUID"), lines));
        return vm;
}

static int show_one(Client *c, const char *path, uint64_t lines) {
        int r;
        json_t *vm = read_vm(c, path, lines, &r);

        if (r != 0)
                return r;
        if (c->json != JSON_OFF)
                return print_json(c, vm);
        pager_open(c);
        show_vm(vm);
        json_decref(vm);
        return 0;
}

/* --- the host --- */

static json_t *count_states(const json_t *vms) {
        /* In this order, which is that of people. */
        static const char *const states[] = { "running", "starting", "paused", "pmsuspended", "shutdown", "crashed", "broken", "shutoff" };
        json_t *counts = json_object(), *vm;
        size_t i;

        for (size_t k = 0; k < ARRAY_SIZE(states); k++) {
                json_int_t n = 0;

                json_array_foreach(vms, i, vm)
                        n += streq(show_text(vm, "State"), states[k]);
                if (n > 0)
                        (void) json_object_set_new(counts, states[k], json_integer(n));
        }
        return counts;
}

static bool is_active(const json_t *vm) {
        return !streq(show_text(vm, "State"), "shutoff") && !streq(show_text(vm, "State"), "broken");
}

static void add_sums(json_t *host, const json_t *vms) {
        json_t *warnings = json_array(), *vm, *text;
        uint64_t cpus = 0, memory = 0;
        size_t i, k;

        json_array_foreach(vms, i, vm) {
                const char *error = json_string_value(json_array_get(json_object_get(vm, "LastError"), 0)) ?: "";

                if (is_active(vm)) {
                        cpus += (uint64_t) json_integer_value(json_array_get(json_object_get(vm, "VCPUs"), 0));
                        memory += show_number(vm, "MemoryCurrent");
                }
                json_array_foreach(json_object_get(vm, "Warnings"), k, text)
                        (void) json_array_append_new(warnings, json_pack("{s:s, s:O}", "name", show_text(vm, "Name"), "text", text));
                if (*error)
                        (void) json_array_append_new(warnings, json_pack("{s:s, s:s}", "name", show_text(vm, "Name"), "text", error));
        }
        (void) json_object_set_new(host, "cpus-given", json_integer((json_int_t) cpus));
        (void) json_object_set_new(host, "memory-given", json_integer((json_int_t) memory));
        (void) json_object_set_new(host, "warnings", warnings);
}

static int read_host(Client *c, json_t **ret) {
        static const char *const properties[] = { "Name", "UUID", "State", "VCPUs", "MemoryCurrent", "Warnings", "LastError" };
        static const char *const job_keys[] = { "id", "path", "operation", "object", "phase" };
        json_auto_t *vms = NULL, *manager = NULL, *jobs = NULL;
        char name[65] = "";
        int r = domains_read(c, properties, ARRAY_SIZE(properties), NULL, 0, &vms);

        if (r != 0)
                return r;
        (void) gethostname(name, sizeof(name) - 1);
        manager = ask_json(c, QEMU1_ROOT, PROPERTIES_INTERFACE, "GetAll", "s", MANAGER_INTERFACE);
        jobs = ask_json(c, QEMU1_ROOT, MANAGER_INTERFACE, "ListJobs", NULL);
        *ret = json_pack("{s:s, s:o, s:o, s:s, s:I, s:I}", "host", c->host ?: name, "states", count_states(vms), "jobs",
                         rows_with_keys(jobs, job_keys, ARRAY_SIZE(job_keys)), "version", show_text(manager, "Version"), "cpus",
                         (json_int_t) show_number(manager, "HostCPUs"), "memory", (json_int_t) show_number(manager, "HostMemory"));
        if (!*ret)
                return client_fail("out of memory");
        (void) json_object_set_new(*ret, "kvm", json_boolean(json_is_true(json_object_get(manager, "KVMAvailable"))));
        add_sums(*ret, vms);
        return 0;
}

/* "3 running, 2 shutoff" */
static char *states_text(const json_t *counts) {
        _cleanup_text_ Text t = TEXT_INIT;
        const char *state;
        json_t *n;

        json_object_foreach((json_t *) counts, state, n)
                text_addf(&t, "%s%" JSON_INTEGER_FORMAT " %s", t.length > 0 ? ", " : "", json_integer_value(n), state);
        return text_finish(&t);
}

static void print_host(const json_t *host) {
        const json_t *warnings = json_object_get(host, "warnings"), *jobs = json_object_get(host, "jobs"), *row;
        _cleanup_free_ char *states = states_text(json_object_get(host, "states"));
        char given[32], memory[32];
        size_t i;

        format_size(show_number(host, "memory-given"), given, sizeof(given));
        format_size(show_number(host, "memory"), memory, sizeof(memory));
        show_head(show_text(host, "host"), "", json_array_size(warnings) > 0 ? "warning" : "ok");
        print_line("VMs", "%s", is_empty(states) ? "none" : states);
        print_line("CPUs", "%" PRIu64 " given to VMs, %" PRIu64 " of the host", show_number(host, "cpus-given"), show_number(host, "cpus"));
        print_line("Memory", "%s given to VMs, %s of the host", given, memory);
        print_line("KVM", "%s", yes_no(json_is_true(json_object_get(host, "kvm"))));
        print_line("Version", "%s", show_text(host, "version"));
        json_array_foreach(jobs, i, row)
                print_line(i == 0 ? "Jobs" : "", "%s%s%s", show_text(row, "operation"), *show_text(row, "phase") ? ", " : "", show_text(row, "phase"));
        json_array_foreach(warnings, i, row)
                print_line(i == 0 ? "Warnings" : "", "%s: %s", show_text(row, "name"), show_text(row, "text"));
}

static int show_host(Client *c) {
        json_t *host = NULL;
        int r = read_host(c, &host);

        if (r != 0)
                return r;
        if (c->json != JSON_OFF)
                return print_json(c, host);
        pager_open(c);
        print_host(host);
        json_decref(host);
        return 0;
}

int verb_status(Client *c, int argc, char **argv) {
        json_auto_t *paths = NULL;
        const json_t *path;
        uint64_t lines;
        size_t i;
        int status, r = read_lines(c, &lines);

        if (r != 0 || argc == 0)
                return r ?: show_host(c);
        status = domains_find(c, argv, argc, &paths);
        json_array_foreach(paths, i, path) {
                if (i > 0 && c->json == JSON_OFF)
                        putchar('\n');
                r = show_one(c, json_string_value(path), lines);
                status = status ?: r;
        }
        return status;
}
