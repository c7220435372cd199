/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "str.h"

#define CALL_TIMEOUT_USEC UINT64_C(180000000)
#define JOB_LOOK_USEC UINT64_C(5000000)

int client_fail(const char *fmt, ...) {
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

/* Ends of jobs are listened for from the beginning: one may come before the answer that names the job has been read. */
static int on_completed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *result, *name, *message;
        Client *c = userdata;

        if (sd_bus_message_read(m, "sss", &result, &name, &message) >= 0)
                (void) json_object_set_new(c->ended, sd_bus_message_get_path(m),
                                           json_string(streq(result, "done") ? "" : *message ? message : result));
        return 0;
}

/* The first word of a path below /org/virtbus, which is also the service's, and the unit behind it. */
typedef struct ServiceRow {
        const char *name, *daemon;
        bool of_host;            /* sessions have none of their own */
        bool has_jobs;
} ServiceRow;

static const ServiceRow services[] = {
        { "qemu1", "virtqemud", .has_jobs = true }, { "lock1", "virtlockd" }, { "log1", "virtlogd" }, { "network1", "virtnetworkd", .of_host = true },
        { "storage1", "virtstoraged", .has_jobs = true },
};

static const ServiceRow *service_of(const char *path) {
        const char *rest = str_after(path, "/org/virtbus/");

        for (size_t i = 0; rest && i < ARRAY_SIZE(services); i++)
                if (str_after(rest, services[i].name))
                        return &services[i];
        return &services[0];
}

int client_connect(Client *c) {
        int r;

        if (c->address)
                r = open_address(c->address, &c->bus);
        else
                r = c->user ? sd_bus_open_user(&c->bus) : sd_bus_open_system(&c->bus);
        if (r >= 0) {
                c->ended = json_object();
                for (size_t i = 0; i < ARRAY_SIZE(services) && r >= 0; i++) {
                        char service[64];

                        (void) snprintf(service, sizeof(service), "org.virtbus.%s", services[i].name);
                        if (services[i].has_jobs)
                                r = sd_bus_match_signal(c->bus, NULL, service, NULL, "org.virtbus.job1", "Completed", on_completed, c);
                }
        }
        if (r >= 0)
                return 0;
        (void) client_fail("the %s bus can't be reached: %s", c->user ? "user" : "system", strerror(-r));
        if (!c->user && geteuid() != 0)
                fprintf(stderr, "  Is dbus running? With --user, VMs of your own session are meant.\n");
        return UNREACHABLE;
}

/* The daemon's errors are a sentence, and on a second line what to do. */
static int tell_error(const Client *c, const sd_bus_error *e, const ServiceRow *service, int r) {
        const char *text = e->message ?: strerror(-r), *end = strchrnul(text, '\n');

        fprintf(stderr, "virtctl: %.*s\n", (int) (end - text), text);
        if (*end)
                fprintf(stderr, "  %s\n", end + 1);
        if (e->name && str_after(e->name, "org.virtbus.Error.NoSuch"))
                return NO_SUCH;
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED) || sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                return DENIED;
        if (!sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) && !sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY))
                return FAILED;
        if (c->user && service->of_host)
                fprintf(stderr, "  %s serves the host, and VMs of sessions with it: leave out --user\n", service->daemon);
        else
                fprintf(stderr, "  %s is not there; try: systemctl %sstatus %s\n", service->daemon, c->user ? "--user " : "", service->daemon);
        return UNREACHABLE;
}

int client_new_call(Client *c, sd_bus_message **ret, const char *path, const char *interface, const char *method) {
        char service[64];
        int r;

        (void) snprintf(service, sizeof(service), "org.virtbus.%s", service_of(path)->name);
        r = sd_bus_message_new_method_call(c->bus, ret, service, path, interface, method);
        if (r >= 0 && isatty(STDIN_FILENO))
                r = sd_bus_message_set_allow_interactive_authorization(*ret, true);
        return r < 0 ? client_fail("%s", strerror(-r)) : 0;
}

int client_send(Client *c, sd_bus_message *call, sd_bus_message **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const ServiceRow *service = service_of(sd_bus_message_get_path(call));
        int r = sd_bus_call(c->bus, call, CALL_TIMEOUT_USEC, &error, ret);

        sd_bus_message_unref(call);
        return r < 0 ? tell_error(c, &error, service, r) : 0;
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

/* --- jobs --- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig) {
        interrupted = 1;
}

static int cancel(Client *c, const char *job) {
        interrupted = 0;
        fprintf(stderr, "Cancelling; press Ctrl-C again to leave it running.\n");
        (void) signal(SIGINT, SIG_DFL);
        return client_call(c, job, "org.virtbus.job1", "Cancel", NULL, "ta{sv}", UINT64_C(0), 0);
}

/* A daemon that was restarted has forgotten its jobs. */
static bool job_exists(Client *c, const char *job) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char service[64];
        uint32_t id;

        (void) snprintf(service, sizeof(service), "org.virtbus.%s", service_of(job)->name);
        return sd_bus_get_property_trivial(c->bus, service, job, "org.virtbus.job1", "Id", &error, 'u', &id) >= 0;
}

static int wait_for_message(Client *c) {
        int r = sd_bus_process(c->bus, NULL);

        if (r == 0)
                r = sd_bus_wait(c->bus, JOB_LOOK_USEC);
        return r == -EINTR ? 0 : r;
}

int client_wait_job(Client *c, const char *job) {
        const struct sigaction interrupt = { .sa_handler = on_interrupt };
        const json_t *ended;
        int r = 0;

        if (streq(job, "/") || c->no_wait)
                return 0;
        (void) sigaction(SIGINT, &interrupt, NULL);
        while (r >= 0 && !(ended = json_object_get(c->ended, job))) {
                r = wait_for_message(c);
                if (interrupted && cancel(c, job) != 0)
                        break;
                if (r == 0 && !json_object_get(c->ended, job) && !job_exists(c, job))
                        return client_fail("%s has forgotten about %s", service_of(job)->daemon, job);
        }
        (void) signal(SIGINT, SIG_DFL);
        if (r < 0)
                return client_fail("the connection was lost: %s", strerror(-r));
        return !ended || *json_string_value(ended) ? client_fail("%s", ended ? json_string_value(ended) : "interrupted") : 0;
}
