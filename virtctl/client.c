/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask-agent.h"
#include "service.h"
#include "str.h"

#define CALL_TIMEOUT_USEC UINT64_C(180000000)

int (client_fail)(const char *fmt, ...) {
        va_list ap;

        fputs("virtctl: ", stderr);
        va_start(ap, fmt);
        (void) vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputc('\n', stderr);
        return FAILED;
}

int client_garbled(int r) {
        return client_fail("the answer can't be read: %s", strerror(-r));
}

static int open_address(const char *address, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int open_bus(Client *c) {
        if (c->address)
                return open_address(c->address, &c->bus);
        if (c->host)
                return sd_bus_open_system_remote(&c->bus, c->host);
        return c->user ? sd_bus_open_user(&c->bus) : sd_bus_open_system(&c->bus);
}

char *client_ssh(const Client *c) {
        const char *colon = strchr(c->host, ':');

        /* More than one: an IPv6 address. */
        if (!colon || strchr(colon + 1, ':'))
                return strf("ssh %s", c->host);
        return strf("ssh -p %s %.*s", colon + 1, (int) (colon - c->host), c->host);
}

static int tell_unreachable(const Client *c, int r) {
        if (c->host) {
                _cleanup_free_ char *ssh = client_ssh(c);

                (void) client_fail("the system bus of %s can't be reached: %s", c->host, strerror(-r));
                fprintf(stderr, "  Does this work: %s systemd-stdio-bridge --help\n", ssh ?: "ssh");
                return UNREACHABLE;
        }
        (void) client_fail("the %s bus can't be reached: %s", c->user ? "user" : "system", strerror(-r));
        if (!c->user && geteuid() != 0)
                fprintf(stderr, "  Is dbus running? With --user, VMs of your own session are meant.\n");
        return UNREACHABLE;
}

int client_connect(Client *c) {
        int r;

        if (c->user && c->host) {
                (void) client_fail("--user and --host=%s exclude each other: only VMs of the host can be reached from elsewhere", c->host);
                return USAGE;
        }
        r = open_bus(c);
        if (r >= 0)
                r = client_watch_jobs(c);
        return r < 0 ? tell_unreachable(c, r) : 0;
}

void client_close(Client *c) {
        ask_agent_close();
        c->bus = sd_bus_flush_close_unref(c->bus);
        json_decref(c->ended);
        c->ended = NULL;
        free(c->given);
        c->given = NULL;
}

/* The daemon's errors are a sentence, and on a second line what to do. */
int client_tell(const Client *c, const sd_bus_error *e, const Service *service, int r) {
        const char *text = e->message ?: strerror(-r), *end = strchrnul(text, '\n');

        fprintf(stderr, "virtctl: %.*s\n", (int) (end - text), text);
        if (*end)
                fprintf(stderr, "  %s\n", end + 1);
        if (e->name && str_after(e->name, "org.virtbus.Error.NoSuch"))
                return NO_SUCH;
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) || sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                return DENIED;
        if (sd_bus_error_has_name(e, "org.virtbus.Error.Stopping"))
                return UNREACHABLE;
        if (!sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) && !sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY))
                return FAILED;
        if (c->user && service->of_host)
                fprintf(stderr, "  %s serves the host, and VMs of sessions with it: leave out --user\n", service->daemon);
        else
                fprintf(stderr, "  %s is not there; try: systemctl %sstatus %s\n", service->daemon, c->user ? "--user " : "", service->daemon);
        return UNREACHABLE;
}

/* Who sits at a terminal can be asked for a password: by an agent of the desktop, or by ours. */
static bool may_ask(const Client *c) {
        return isatty(STDIN_FILENO) && !c->no_ask;
}

int client_new_call(Client *c, sd_bus_message **ret, const char *path, const char *interface, const char *method) {
        int r = sd_bus_message_new_method_call(c->bus, ret, service_of(path)->bus_name, path, interface, method);

        if (r >= 0 && may_ask(c)) {
                if (!c->user && !c->host && !c->address)
                        ask_agent_open();
                r = sd_bus_message_set_allow_interactive_authorization(*ret, true);
        }
        return r < 0 ? client_fail("%s", strerror(-r)) : 0;
}

int client_try(Client *c, sd_bus_message *call, sd_bus_error *error, sd_bus_message **ret) {
        int r = sd_bus_call(c->bus, call, CALL_TIMEOUT_USEC, error, ret);

        sd_bus_message_unref(call);
        return r < 0 ? r : 0;
}

int client_send(Client *c, sd_bus_message *call, sd_bus_message **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const Service *service = service_of(sd_bus_message_get_path(call));
        int r = client_try(c, call, &error, ret);

        return r < 0 ? client_tell(c, &error, service, r) : 0;
}

int client_call(Client *c, const char *path, const char *interface, const char *method, sd_bus_message **ret, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        va_list ap;
        int r;

        r = client_new_call(c, &call, path, interface, method);
        if (r != 0)
                return r;
        if (types) {
                va_start(ap, types);
                r = sd_bus_message_appendv(call, types, ap);
                va_end(ap);
                if (r < 0)
                        return client_fail("%s", strerror(-r));
        }
        return client_send(c, TAKE_PTR(call), ret);
}

int client_get_text(Client *c, const char *path, const char *interface, const char *property, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        int r = client_call(c, path, "org.freedesktop.DBus.Properties", "Get", &reply, "ss", interface, property);

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "v", "s", &text);
        if (r < 0)
                return client_garbled(r);
        *ret = strdup(text);
        return *ret ? 0 : client_fail("out of memory");
}

int client_take_path(sd_bus_message *reply, char **ret) {
        const char *path;
        int r = sd_bus_message_read(reply, "o", &path);

        if (r < 0)
                return client_garbled(r);
        *ret = strdup(path);
        return *ret ? 0 : client_fail("out of memory");
}

int client_find(Client *c, const char *root, const char *interface, const char *method, const char *name, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, root, interface, method, &reply, "s", name);

        return r != 0 ? r : client_take_path(reply, ret);
}

int client_domain(Client *c, const char *name, char **ret) {
        return client_find(c, QEMU1_ROOT, MANAGER_INTERFACE, "GetDomain", name, ret);
}

int client_timeout(const Client *c, uint64_t otherwise, uint64_t *ret) {
        uint64_t seconds;

        *ret = otherwise;
        if (!c->timeout)
                return 0;
        if (parse_u64(c->timeout, 10, &seconds) < 0 || __builtin_mul_overflow(seconds, UINT64_C(1000000), ret) || *ret > INT64_MAX) {
                (void) client_fail("--timeout=%s: expected a number of seconds", c->timeout);
                return USAGE;
        }
        return 0;
}

int client_each(Client *c, int argc, char **argv, ClientFind find, ClientDo f) {
        int status = 0;

        for (int i = 0; i < argc; i++) {
                _cleanup_free_ char *path = NULL;
                int r = find(c, argv[i], &path);

                if (r == 0)
                        r = f(c, path);
                status = status ?: r;
        }
        return status;
}

int client_each_call(Client *c, int argc, char **argv, ClientFind find, const char *interface, const char *method, uint64_t flags) {
        int status = 0;

        for (int i = 0; i < argc; i++) {
                _cleanup_free_ char *path = NULL;
                int r = find(c, argv[i], &path) ?: client_call(c, path, interface, method, NULL, "ta{sv}", flags, 0);

                status = status ?: r;
        }
        return status;
}

int client_each_autostart(Client *c, int argc, char **argv, ClientFind find, const char *interface, bool on) {
        int status = 0;

        for (int i = 0; i < argc; i++) {
                _cleanup_free_ char *path = NULL;
                int r = find(c, argv[i], &path) ?: client_call(c, path, interface, "SetAutostart", NULL, "bta{sv}", (int) on, UINT64_C(0), 0);

                status = status ?: r;
        }
        return status;
}
