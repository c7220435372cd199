/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "rows.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Addresses of guests; and waiting for them, for states and for agents. Nothing is polled: what changes is signalled. */

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define FOREVER_USEC (UINT64_C(10) * 365 * 86400 * 1000000)

/* --- addresses --- */

/* What only reaches the host itself is no address to wait for. */
static bool is_local(const char *text) {
        struct in6_addr six;
        struct in_addr four;

        if (inet_pton(AF_INET, text, &four) > 0)
                return ntohl(four.s_addr) >> 24 == 127 || ntohl(four.s_addr) >> 16 == 0xa9fe;
        return inet_pton(AF_INET6, text, &six) > 0 && (IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_LINKLOCAL(&six));
}

static bool is_family(const char *text, const char *what) {
        return streq(what, "address") || streq(what, strchr(text, ':') ? "ipv6" : "ipv4");
}

/* Appends those of one domain. `what` chooses among them: NULL is all. */
static int add_addresses(Client *c, const char *path, const char *name, const char *what, json_t *list) {
        static const char *const keys[] = { "interface", "address", "prefix", "source" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *rows = NULL, *all = NULL;
        json_t *row;
        size_t i;
        int r = client_call(c, path, PROPERTIES, "Get", &reply, "ss", DOMAIN_INTERFACE, "Addresses");

        if (r != 0)
                return r;
        rows = value_to_json(reply);
        all = rows_with_keys(rows, keys, ARRAY_SIZE(keys));
        json_array_foreach(all, i, row) {
                const char *address = show_text(row, "address");
                _cleanup_free_ char *full = strf("%s/%llu", address, (unsigned long long) show_number(row, "prefix"));

                if (what && (is_local(address) || !is_family(address, what)))
                        continue;
                (void) json_object_set_new(row, "name", json_string(name));
                if (c->json == JSON_OFF)
                        (void) json_object_set_new(row, "full", json_string(full ?: ""));
                (void) json_array_append(list, row);
        }
        return 0;
}

static int add_all(Client *c, json_t *list) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *domains = NULL;
        const json_t *row;
        size_t i;
        int r = client_call(c, QEMU1_ROOT, MANAGER_INTERFACE, "ListDomains", &reply, NULL);

        if (r != 0)
                return r;
        domains = value_to_json(reply);
        json_array_foreach(domains, i, row)
                if (!streq(json_string_value(json_array_get(row, 1)) ?: "", "shutoff"))
                        r = r ?: add_addresses(c, json_string_value(json_array_get(row, 4)), json_string_value(json_array_get(row, 0)), NULL, list);
        return r;
}

int verb_addresses(Client *c, int argc, char **argv) {
        static const char *const columns[] = { "NAME", "INTERFACE", "ADDRESS", "SOURCE" }, *const keys[] = { "name", "interface", "full", "source" };
        json_auto_t *list = json_array();
        int r = argc == 0 ? add_all(c, list) : 0, shown;

        for (int i = 0; i < argc; i++) {
                _cleanup_free_ char *path = NULL;
                int one = client_domain(c, argv[i], &path) ?: add_addresses(c, path, argv[i], NULL, list);

                r = r ?: one;
        }
        shown = c->json != JSON_OFF ? print_json(c, json_incref(list)) : rows_print(c, list, columns, keys, ARRAY_SIZE(columns), "address");
        return r ?: shown;
}

/* --- wait --- */

typedef struct Wait {
        Client *client;
        const char *name;
        char *path;
        uint64_t deadline;           /* CLOCK_MONOTONIC */
        bool changed;
} Wait;

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Wait *) userdata)->changed = true;
        return 0;
}

/* What a daemon that has come back knows may be new; one that has gone is left alone. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) >= 0 && *after)
                ((Wait *) userdata)->changed = true;
        return 0;
}

static int listen_for(Wait *w) {
        sd_bus *bus = w->client->bus;
        int r = sd_bus_match_signal(bus, NULL, QEMU1, w->path, PROPERTIES, "PropertiesChanged", on_changed, w);

        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, QEMU1, QEMU1_ROOT, MANAGER_INTERFACE, "DomainRemoved", on_changed, w);
        if (r >= 0)
                r = sd_bus_add_match(bus, NULL, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" QEMU1 "'", on_owner, w);
        return r < 0 ? client_garbled(r) : 0;
}

static int time_is_up(const Wait *w, const char *what) {
        (void) client_fail("%s: no %s in time", w->name, what);
        return TIMED_OUT;
}

/* Until something has been signalled. */
static int wait_for_change(Wait *w, const char *what) {
        while (!w->changed) {
                uint64_t now = now_usec(CLOCK_MONOTONIC);
                int r = sd_bus_process(w->client->bus, NULL);

                if (r == 0 && now >= w->deadline)
                        return time_is_up(w, what);
                if (r == 0)
                        r = sd_bus_wait(w->client->bus, w->deadline - now);
                if (r < 0 && r != -EINTR)
                        return client_fail("the connection was lost: %s", strerror(-r));
        }
        w->changed = false;
        return 0;
}

/* "" once the VM is not there any more. */
static int read_property(Wait *w, const char *interface, const char *name, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *text = "";
        int r = client_new_call(w->client, &m, w->path, PROPERTIES, "Get");

        if (r != 0)
                return r;
        r = sd_bus_message_append(m, "ss", interface, name);
        if (r >= 0)
                r = client_try(w->client, TAKE_PTR(m), &error, &reply);
        if (r < 0 && !sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT))
                return client_tell(w->client, &error, service_of(w->path), r);
        if (r >= 0 && sd_bus_message_read(reply, "v", "s", &text) < 0)
                return client_garbled(-EBADMSG);
        free(*ret);
        *ret = strdup(text);
        return *ret ? 0 : client_fail("out of memory");
}

/* A transient VM that has ended is gone, which is as off as can be. */
static int wait_for_value(Wait *w, const char *interface, const char *property, bool (*good)(const char *value, const char *wanted), const char *wanted) {
        _cleanup_free_ char *value = NULL;
        int r;

        while ((r = read_property(w, interface, property, &value)) == 0 && !good(ASSERT_PTR(value), wanted)) {
                if (!*value)
                        return client_fail("%s is not there any more", w->name);
                r = wait_for_change(w, wanted);
                if (r != 0)
                        return r;
        }
        return r;
}

static bool is_value(const char *value, const char *wanted) {
        return streq(value, wanted) || (streq(wanted, "shutoff") && !*value);
}

static bool has_guest(const char *value, const char *wanted) {
        return streq(value, "running") || streq(value, "paused") || streq(value, "pmsuspended");
}

static bool is_connected(const char *value, const char *wanted) {
        return streq(value, "connected");
}

static int wait_for_state(Wait *w, const char *what) {
        return wait_for_value(w, DOMAIN_INTERFACE, "State", is_value, what);
}

static int wait_for_agent(Wait *w, const char *what) {
        return wait_for_value(w, QEMU1 ".Guest", "AgentState", is_connected, what);
}

/* An agent has to be asked for addresses: the daemon does that as long as somebody waits. */
static int wait_for_address(Wait *w, const char *what) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *job = NULL;
        json_auto_t *list = json_array();
        const char *family = streq(what, "address") ? "" : what;
        const json_t *row;
        uint64_t now;
        size_t i;
        int r = wait_for_value(w, DOMAIN_INTERFACE, "State", has_guest, what);

        if (r != 0)
                return r;
        now = now_usec(CLOCK_MONOTONIC);
        r = client_call(w->client, w->path, DOMAIN_INTERFACE, "WaitForAddress", &reply, "ta{sv}", UINT64_C(0), 2, "family", "s", family, "timeout", "t",
                        w->deadline > now ? w->deadline - now : UINT64_C(0)) ?:
            client_take_path(reply, &job) ?: client_wait_job(w->client, job);
        if (r == FAILED && now_usec(CLOCK_MONOTONIC) >= w->deadline)
                return TIMED_OUT;
        r = r ?: add_addresses(w->client, w->path, w->name, what, list);
        if (r == 0 && w->client->json != JSON_OFF)
                return print_json(w->client, json_incref(list));
        json_array_foreach(list, i, row)
                printf("%s\n", show_text(row, "address"));
        return r;
}

int verb_wait(Client *c, int argc, char **argv) {
        static const struct {
                const char *what;
                int (*wait)(Wait *w, const char *what);
        } kinds[] = {
                { "running", wait_for_state }, { "paused", wait_for_state }, { "shutoff", wait_for_state }, { "agent", wait_for_agent },
                { "address", wait_for_address }, { "ipv4", wait_for_address }, { "ipv6", wait_for_address },
        };
        Wait w = { .client = c, .name = argv[0] };
        uint64_t timeout;
        int r = client_timeout(c, FOREVER_USEC, &timeout);

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
                if (!streq(kinds[i].what, argv[1]))
                        continue;
                w.deadline = now_usec(CLOCK_MONOTONIC) + timeout;
                r = client_domain(c, argv[0], &w.path) ?: listen_for(&w) ?: kinds[i].wait(&w, argv[1]);
                free(w.path);
                return r;
        }
        if (r == 0)
                (void) client_fail("\"%s\" can't be waited for, but running, paused, shutoff, agent, address, ipv4 and ipv6", argv[1]);
        return r ?: USAGE;
}
