/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "definition.h"
#include "str.h"
#include "verbs.h"

/* --- one call on each of several domains --- */

/* A verb without arguments of its own, whose answer is a job. */
static int call_job(Client *c, const char *path, const char *method, uint64_t flags) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *job;
        int r;

        r = client_call(c, path, DOMAIN_INTERFACE, method, &reply, "ta{sv}", flags, 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "o", &job);
        return r < 0 ? client_garbled(r) : client_wait_job(c, job);
}

static int start(Client *c, const char *path) {
        return call_job(c, path, "Start", c->no_wait ? FLAG_NO_WAIT : 0);
}

int verb_start(Client *c, int argc, char **argv) {
        return client_each(c, argc, argv, client_domain, start);
}

static int stop(Client *c, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint64_t timeout;
        const char *job;
        int r = client_timeout(c, 0, &timeout);

        if (r != 0)
                return r;
        if (c->timeout)
                r = client_call(c, path, DOMAIN_INTERFACE, "Shutdown", &reply, "sta{sv}", "acpi", UINT64_C(0), 1, "timeout-usec", "t", timeout);
        else
                r = client_call(c, path, DOMAIN_INTERFACE, "Shutdown", &reply, "sta{sv}", "acpi", UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "o", &job);
        return r < 0 ? client_garbled(r) : client_wait_job(c, job);
}

int verb_stop(Client *c, int argc, char **argv) {
        return client_each(c, argc, argv, client_domain, stop);
}

#define SIMPLE_VERB(verb, method)                                                                       \
        static int do_##verb(Client *c, const char *path) {                                             \
                return call_job(c, path, (method), 0);                                                  \
        }                                                                                               \
        int verb_##verb(Client *c, int argc, char **argv) {                                             \
                return client_each(c, argc, argv, client_domain, do_##verb);                                                  \
        }

SIMPLE_VERB(kill, "Terminate")
SIMPLE_VERB(reboot, "Reboot")
SIMPLE_VERB(reset, "Reset")
SIMPLE_VERB(suspend, "Suspend")
SIMPLE_VERB(resume, "Resume")

int verb_undefine(Client *c, int argc, char **argv) {
        return client_each_call(c, argc, argv, client_domain, DOMAIN_INTERFACE, "Undefine", 0);
}

int verb_rename(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = client_domain(c, argv[0], &path);

        return r ?: client_call(c, path, DOMAIN_INTERFACE, "Rename", NULL, "sta{sv}", argv[1], UINT64_C(0), 0);
}

int verb_enable(Client *c, int argc, char **argv) {
        return client_each_autostart(c, argc, argv, client_domain, DOMAIN_INTERFACE, true);
}

int verb_disable(Client *c, int argc, char **argv) {
        return client_each_autostart(c, argc, argv, client_domain, DOMAIN_INTERFACE, false);
}

/* --- definitions --- */

int verb_define(Client *c, int argc, char **argv) {
        return definition_send(c, QEMU1_ROOT, MANAGER_INTERFACE, "DefineDomain", argc, argv);
}

int verb_cat(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = client_domain(c, argv[0], &path);

        return r != 0 ? r : definition_print(c, path, DOMAIN_INTERFACE, (c->live ? FLAG_LIVE : FLAG_CONFIG) | (c->secrets ? FLAG_SENSITIVE : 0));
}

/* As a shell would take it. */
static void print_argument(const char *s) {
        if (*s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+@%")]) {
                printf("%s\n", s);
                return;
        }
        putchar('\'');
        for (; *s; s++)
                if (*s == '\'')
                        fputs("'\\''", stdout);
                else
                        putchar(*s);
        puts("'");
}

static int print_resources(sd_bus_message *m) {
        const char *key, *item;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                printf("\n# %s\n", key);
                if (r >= 0)
                        r = sd_bus_message_enter_container(m, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_enter_container(m, 'a', "s");
                while (r >= 0 && (r = sd_bus_message_read(m, "s", &item)) > 0)
                        printf("#   %s\n", item);
                for (int i = 0; i < 3 && r >= 0; i++)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

int verb_plan(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *path = NULL;
        const char *argument;
        int r;

        r = client_domain(c, argv[0], &path);
        if (r == 0)
                r = client_call(c, path, DOMAIN_INTERFACE, "PlanStart", &reply, "ta{sv}", UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &argument)) > 0)
                print_argument(argument);
        if (r >= 0)
                r = sd_bus_message_exit_container(reply);
        if (r >= 0)
                r = print_resources(reply);
        return r < 0 ? client_garbled(r) : 0;
}
