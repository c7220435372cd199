/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "show.h"
#include "str.h"
#include "terminal.h"
#include "values.h"
#include "verbs.h"

/* What happens to VMs, one line each, as it happens. */

typedef struct Events {
        Client *client;
        json_t *names;           /* of domains by path */
        int argc;                /* those that are wanted; 0: all */
        char **argv;
} Events;

static const char *const interfaces[] = { DOMAIN_INTERFACE, QEMU1 ".Events", MANAGER_INTERFACE };

static int learn_names(Events *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *rows = NULL;
        const json_t *row;
        size_t i;
        int r = client_call(e->client, QEMU1_ROOT, MANAGER_INTERFACE, "ListDomains", &reply, NULL);

        if (r != 0)
                return r;
        rows = value_to_json(reply);
        json_array_foreach(rows, i, row)
                (void) json_object_set(e->names, json_string_value(json_array_get(row, 4)) ?: "", json_array_get(row, 0));
        return 0;
}

/* Of the domain itself, or one of its devices. */
static const char *name_of(const Events *e, const char *path) {
        const char *device = strstr(path, "/device/");
        _cleanup_free_ char *domain = strndup(path, device ? (size_t) (device - path) : strlen(path));

        return domain ? show_text(e->names, domain) : "";
}

static bool is_wanted(const Events *e, const char *name) {
        for (int i = 0; i < e->argc; i++)
                if (streq(e->argv[i], name))
                        return true;
        return e->argc == 0;
}

static json_t *arguments_of(sd_bus_message *m) {
        json_t *list = json_array();

        while (sd_bus_message_at_end(m, true) == 0)
                if (json_array_append_new(list, value_to_json(m)) < 0)
                        break;
        return list;
}

static void print_value(const json_t *value) {
        _cleanup_free_ char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        if (!json_is_string(value) || *json_string_value(value))
                printf(" %s", text ?: json_string_value(value));
}

static void print_event(const char *name, const char *device, const char *event, const json_t *arguments) {
        time_t now = time(NULL);
        char date[32] = "";
        json_t *value;
        struct tm t;
        size_t i;

        if (localtime_r(&now, &t))
                (void) strftime(date, sizeof(date), "%F %T", &t);
        printf("%s %s%s%s %s%s%s", date, terminal_bold(), name, terminal_plain(), event, device ? " " : "", device ?: "");
        json_array_foreach(arguments, i, value)
                print_value(value);
        putchar('\n');
        (void) fflush(stdout);
}

/* New and gone domains are told of by the Manager, with name and path. */
static const char *take_name(Events *e, const char *event, const json_t *arguments) {
        const char *name = json_string_value(json_array_get(arguments, 0)), *path = json_string_value(json_array_get(arguments, 1));

        if (!name || !path || (!streq(event, "DomainNew") && !streq(event, "DomainRemoved")))
                return NULL;
        (void) json_object_set_new(e->names, path, json_string(name));
        return show_text(e->names, path);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *path = sd_bus_message_get_path(m), *event = sd_bus_message_get_member(m), *device = strstr(path, "/device/"), *name;
        json_auto_t *arguments = arguments_of(m);
        Events *e = userdata;

        if (streq(path, QEMU1_ROOT)) {
                name = take_name(e, event, arguments);
                json_array_clear(arguments);
        } else
                name = name_of(e, path);
        if (!name || !is_wanted(e, name))
                return 0;
        device = device ? device + strlen("/device/") : NULL;
        if (e->client->json == JSON_OFF) {
                print_event(name, device, event, arguments);
                return 0;
        }
        (void) print_json(e->client, json_pack("{s:I, s:s, s:s, s:s*, s:O}", "time", (json_int_t) now_usec(CLOCK_REALTIME), "name", name, "event",
                                               event, "device", device, "arguments", arguments));
        (void) fflush(stdout);
        return 0;
}

static volatile sig_atomic_t is_over;

static void on_interrupt(int sig) {
        is_over = 1;
}

int verb_events(Client *c, int argc, char **argv) {
        const struct sigaction interrupt = { .sa_handler = on_interrupt };
        Events e = { .client = c, .names = json_object(), .argc = argc, .argv = argv };
        int r = 0, status;

        (void) sigaction(SIGINT, &interrupt, NULL);
        (void) sigaction(SIGTERM, &interrupt, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(interfaces) && r >= 0; i++)
                r = sd_bus_match_signal(c->bus, NULL, QEMU1, NULL, interfaces[i], NULL, on_signal, &e);
        status = r < 0 ? client_fail("signals can't be listened for: %s", strerror(-r)) : learn_names(&e);
        for (int i = 0; i < argc && status == 0; i++) {
                _cleanup_free_ char *path = NULL;

                status = client_domain(c, argv[i], &path);
        }
        if (status == 0 && !c->quiet)
                fprintf(stderr, "Listening; Ctrl-C ends it.\n");
        while (status == 0 && r >= 0 && !is_over) {
                r = sd_bus_process(c->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(c->bus, UINT64_MAX);
                r = r == -EINTR ? 0 : r;
        }
        json_decref(e.names);
        return status ?: r < 0 ? client_fail("the connection was lost: %s", strerror(-r)) : DONE;
}
