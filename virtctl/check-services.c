/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ask.h"
#include "check.h"
#include "network.h"
#include "service.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "values.h"

/* Checks of services: the bus, our daemons, systemd and its like, and what the daemons have. */

#define NO_BUS "can't be asked without a bus"
#define SPACE_MIN (UINT64_C(1) << 30)

/* --- asking --- */

static json_t *value_or_null(sd_bus_message *reply, int r) {
        return r < 0 ? NULL : value_to_json(reply);
}

static void note_names(Look *l, const char *method) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name;

        if (sd_bus_call_method(l->c->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", method, NULL, &reply, NULL) < 0 ||
            sd_bus_message_enter_container(reply, 'a', "s") < 0)
                return;
        while (sd_bus_message_read(reply, "s", &name) > 0)
                (void) json_object_set_new(l->names, name, json_true());
}

static bool is_on_bus(const Look *l, const char *name) {
        return json_object_get(l->names, name);
}

/* What a property is; NULL: the daemon did not say, and why is kept. */
static json_t *property(Look *l, const char *path, const char *interface, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = ask(l->c, path, "org.freedesktop.DBus.Properties", "Get", &error, &reply, "ss", interface, name);

        if (r < 0)
                (void) json_object_set_new(l->errors, service_of(path)->bus_name, json_string(error.message ?: strerror(-r)));
        return value_or_null(reply, r);
}

static void ask_daemons(Look *l) {
        const Service *s;

        for (size_t i = 0; (s = service_at(i)); i++) {
                _cleanup_free_ char *path = strf("/org/virtbus/%s", s->name), *interface = strf("%s.Manager", s->bus_name);

                if (path && interface && is_on_bus(l, s->bus_name)) {
                        json_t *version = property(l, path, interface, "Version");

                        if (version)
                                (void) json_object_set_new(l->names, s->bus_name, version);
                }
        }
}

static void ask_host(Look *l) {
        static const char *const names[] = { "HostArchitecture", "HostCPU", "HostHugePages", "IOMMUGroups", "KVMAvailable", "KVMFeatures" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (!is_on_bus(l, QEMU1) || json_object_get(l->errors, QEMU1))
                return;
        l->host = json_object();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                json_t *value = property(l, QEMU1_ROOT, MANAGER_INTERFACE, names[i]);

                if (value)
                        (void) json_object_set_new(l->host, names[i], value);
        }
        r = ask(l->c, QEMU1_ROOT, MANAGER_INTERFACE, "DomainCapabilities", &error, &reply, "sssa{sv}", "", "", "", 0);
        l->capabilities = value_or_null(reply, r);
}

void look_around(Look *l) {
        l->names = json_object();
        l->errors = json_object();
        if (!l->connected)
                return;
        note_names(l, "ListNames");
        note_names(l, "ListActivatableNames");
        l->systemd = is_on_bus(l, "org.freedesktop.systemd1");
        ask_daemons(l);
        ask_host(l);
}

void look_clear(Look *l) {
        json_decref(l->names);
        json_decref(l->errors);
        json_decref(l->host);
        json_decref(l->capabilities);
}

/* --- the bus and what stands beside us --- */

static const char *user_flag(const Look *l) {
        return l->c->user ? "--user " : "";
}

void check_bus(const Look *l, Answer *a) {
        if (l->connected) {
                answer(a, VERDICT_OK, "answers");
                return;
        }
        answer(a, VERDICT_MISSING, "the %s bus can't be reached", l->c->user ? "user" : "system");
        answer_fix(a, l->c->user ? "apt install dbus-user-session (and log in again)" : "apt install dbus && systemctl start dbus.socket");
}

void check_systemd(const Look *l, Answer *a) {
        if (l->systemd)
                answer(a, VERDICT_OK, "VMs are units");
        else if (!l->connected)
                answer(a, VERDICT_UNNEEDED, NO_BUS);
        else
                answer(a, VERDICT_WARNING, "it does not run%s: VMs are run by virtqemud itself, and limits are not kept", l->c->user ? " for the user" : "");
}

static void check_name(const Look *l, Answer *a, const char *name, const char *package, Verdict otherwise, const char *without) {
        if (is_on_bus(l, name))
                answer(a, VERDICT_OK, "is there");
        else if (!l->connected)
                answer(a, VERDICT_UNNEEDED, NO_BUS);
        else {
                answer(a, otherwise, "it is not there: %s", without);
                answer_fix(a, "apt install %s", package);
        }
}

void check_machined(const Look *l, Answer *a) {
        if (l->connected && !l->systemd)
                answer(a, VERDICT_UNNEEDED, "only with systemd");
        else
                check_name(l, a, "org.freedesktop.machine1", "systemd-container", VERDICT_MISSING, "machinectl does not know VMs");
}

void check_polkit(const Look *l, Answer *a) {
        check_name(l, a, "org.freedesktop.PolicyKit1", "polkitd", VERDICT_WARNING, "nobody but root may do anything");
        if (a->verdict != VERDICT_OK || l->remote || access("/usr/bin/pkttyagent", X_OK) >= 0)
                return;
        answer(a, VERDICT_WARNING, "nobody asks for passwords at terminals: pkttyagent is not installed");
        answer_fix(a, "apt install polkitd");
}

/* --- our daemons --- */

static const Service *service_called(const char *daemon) {
        const Service *s;

        for (size_t i = 0; (s = service_at(i)); i++)
                if (streq(s->daemon, daemon))
                        return s;
        return NULL;
}

void check_daemon(const Look *l, Answer *a) {
        const Service *s = ASSERT_PTR(service_called(a->check->name));
        const char *error = json_string_value(json_object_get(l->errors, s->bus_name));

        if (!l->connected) {
                answer(a, VERDICT_MISSING, NO_BUS);
                return;
        }
        if (!is_on_bus(l, s->bus_name)) {
                if (l->c->user && s->of_host)
                        answer(a, VERDICT_UNNEEDED, "the host's serves sessions, too");
                else {
                        answer(a, VERDICT_MISSING, "is not installed: the bus does not know %s", s->bus_name);
                        answer_fix(a, "apt install %s", s->daemon);
                }
        } else if (error) {
                answer(a, VERDICT_MISSING, "does not answer: %.*s", (int) strcspn(error, "\n"), error);
                answer_fix(a, "journalctl %s-b -e -u %s.service", user_flag(l), s->daemon);
        } else
                answer(a, VERDICT_OK, "version %s", show_text(l->names, s->bus_name));
}

/* Not NULL: what its state is, if it is not to be started with the host. */
static char *unit_trouble(const Look *l, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *state;

        if (sd_bus_call_method(l->c->bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                               "GetUnitFileState", &error, &reply, "s", unit) < 0 ||
            sd_bus_message_read(reply, "s", &state) < 0)
                return NULL;     /* one that is not there is its daemon's matter */
        return str_after(state, "enabled") || streq(state, "static") || streq(state, "alias") ? NULL : strdup(state);
}

void check_units(const Look *l, Answer *a) {
        static const char *const units[] = {
                "virtqemud.socket", "virtlogd.socket", "virtlockd.socket", "virtstoraged.socket", "virtnetworkd.socket", "virtstoraged.service",
                "virtnetworkd.service",
        };
        _cleanup_text_ Text list = TEXT_INIT;
        bool masked = false;

        if (!l->systemd) {
                answer(a, VERDICT_UNNEEDED, "only with systemd");
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
                _cleanup_free_ char *state = unit_trouble(l, units[i]);

                masked = masked || (state && str_after(state, "masked"));
                if (state)
                        text_addf(&list, " %s", units[i]);
        }
        if (list.length == 0) {
                answer(a, VERDICT_OK, "start with the %s", l->c->user ? "session" : "host");
                return;
        }
        answer(a, VERDICT_WARNING, "don't start with the %s:%s", l->c->user ? "session" : "host", list.data);
        answer_fix(a, "%s%s%s%s", masked ? "systemctl unmask" : "systemctl enable --now", l->c->user ? " --user" : "", list.data, masked ? " (and again)" : "");
}

/* --- what they have --- */

/* The object of that name; NULL: there is none, or nobody to ask. */
static char *find(const Look *l, const char *bus_name, const char *root, const char *interface, const char *method) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        if (!is_on_bus(l, bus_name) || ask(l->c, root, interface, method, &error, &reply, "s", "default") < 0 || sd_bus_message_read(reply, "o", &path) < 0)
                return NULL;
        return strdup(path);
}

void check_default_network(const Look *l, Answer *a) {
        _cleanup_free_ char *path = find(l, NETWORK1, NETWORK1_ROOT, NETWORK1_MANAGER, "GetNetwork");

        if (path)
                answer(a, VERDICT_OK, "the network default is defined");
        else {
                answer(a, VERDICT_UNNEEDED, "no network is called default, which definitions of others ask for");
                answer_fix(a, "virtctl define-network FILE");
        }
}

void check_forwarding(const Look *l, Answer *a) {
        answer(a, VERDICT_OK, "virtnetworkd switches it on when a network needs it");
}

void check_default_pool(const Look *l, Answer *a) {
        _cleanup_free_ char *path = find(l, "org.virtbus.storage1", STORAGE1_ROOT, STORAGE1_MANAGER, "GetPool");

        if (path)
                answer(a, VERDICT_OK, "the pool default is defined");
        else
                answer(a, VERDICT_UNNEEDED, "no pool is called default; virtctl create makes it when it needs it");
}

/* Where the daemons write what they have to remember. */
static bool is_full(const char *path) {
        struct statvfs s;

        return statvfs(path, &s) >= 0 && s.f_blocks > 0 && s.f_bavail * s.f_frsize < SPACE_MIN / 16;
}

/* Pools know how full they are, also on other hosts. */
void check_space(const Look *l, Answer *a) {
        const char *state = l->c->user ? getenv("HOME") ?: "/" : access("/var/lib/virtbus", F_OK) >= 0 ? "/var/lib/virtbus" : "/var/lib";
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_text_ Text full = TEXT_INIT;
        json_auto_t *all = NULL;
        json_t *interfaces;
        const char *path;
        size_t n = 0;

        if (is_on_bus(l, "org.virtbus.storage1") &&
            ask(l->c, STORAGE1_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &error, &reply, NULL) >= 0)
                all = value_to_json(reply);
        json_object_foreach(all, path, interfaces) {
                const json_t *pool = json_object_get(interfaces, STORAGE1_POOL);
                uint64_t capacity = show_number(pool, "Capacity"), available = show_number(pool, "Available");

                n += json_is_true(json_object_get(pool, "Active"));
                if (json_is_true(json_object_get(pool, "Active")) && capacity > 0 && (available < SPACE_MIN || available < capacity / 20))
                        text_addf(&full, "%s%s", full.length > 0 ? ", " : "", show_text(pool, "Name"));
        }
        if (!l->remote && is_full(state)) {
                answer(a, VERDICT_WARNING, "nearly full: the file system of %s", state);
                return;
        }
        if (full.length > 0) {
                answer(a, VERDICT_WARNING, "nearly full: %s", full.data);
                answer_fix(a, "virtctl volumes %.*s", (int) strcspn(full.data, ","), full.data);
        } else if (n > 0)
                answer(a, VERDICT_OK, "in %zu active pool%s", n, n == 1 ? "" : "s");
        else
                answer(a, VERDICT_OK, "no pool is active");
}
