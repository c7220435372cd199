/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* `virtctl statistics`: what GetStatistics() says, key by key. */

/* Somebody looks at it now: no older than this. */
#define MAX_AGE_USEC UINT64_C(1000000)

/* Bits of GetStatistics() by position. */
static const char *const groups[] = {
        "state", "cpu", "vcpu", "memory", "balloon", "guest-memory", "block", "block-backing", "block-latency", "net", "dirty-rate", "job", "vcpu-halt",
};

static int add_group(const char *word, uint64_t *mask) {
        const char *near;

        for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
                if (streq(groups[i], word)) {
                        *mask |= UINT64_C(1) << i;
                        return 0;
                }
        near = str_nearest(word, groups, ARRAY_SIZE(groups));
        (void) client_fail("there is no group \"%s\"%s%s", word, near ? "; did you mean " : "", near ?: "");
        return USAGE;
}

/* "cpu,block" or "all"; nothing is what the daemon thinks best. */
static int read_groups(const char *text, uint64_t *ret) {
        _cleanup_free_ char *copy = strdup(text ?: "");
        char *rest = copy, *word;
        int r = copy ? 0 : client_fail("out of memory");

        *ret = 0;
        while (r == 0 && (word = strsep(&rest, ",")))
                if (streq(word, "all"))
                        *ret = (UINT64_C(1) << ARRAY_SIZE(groups)) - 1;
                else if (*word)
                        r = add_group(word, ret);
        return r;
}

static int append_domains(Client *c, sd_bus_message *m, int argc, char **argv) {
        int r = sd_bus_message_open_container(m, 'a', "o"), status;

        for (int i = 0; i < argc && r >= 0; i++) {
                _cleanup_free_ char *path = NULL;

                status = client_domain(c, argv[i], &path);
                if (status != 0)
                        return status;
                r = sd_bus_message_append(m, "o", path);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? client_garbled(r) : 0;
}

static void print_value(const char *key, const json_t *value) {
        _cleanup_free_ char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        printf("  %s=%s\n", key, json_string_value(value) ?: text ?: "");
}

static void print_domain(const json_t *values) {
        const char *key;
        json_t *value;

        printf("Domain: '%s'\n", json_string_value(json_object_get(values, "name")) ?: "");
        json_object_foreach((json_t *) values, key, value)
                if (!streq(key, "name"))
                        print_value(key, value);
        putchar('\n');
}

/* [[path, values], …] as [{"path": …, values}, …]. */
static json_t *flatten(const json_t *all) {
        json_t *list = json_array(), *one;
        size_t i;

        json_array_foreach(all, i, one) {
                json_t *values = json_array_get(one, 1);

                (void) json_object_set(values, "path", json_array_get(one, 0));
                (void) json_array_append(list, values);
        }
        return list;
}

static int print_all(const Client *c, sd_bus_message *reply) {
        json_t *all = value_to_json(reply), *one;
        int r = 0;
        size_t i;

        if (c->json != JSON_OFF)
                r = print_json(c, flatten(all));
        else
                json_array_foreach(all, i, one)
                        print_domain(json_array_get(one, 1));
        json_decref(all);
        return r;
}

int verb_stats(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        uint64_t mask;
        int r = read_groups(c->groups, &mask) ?: client_new_call(c, &m, QEMU1_ROOT, MANAGER_INTERFACE, "GetStatistics") ?: append_domains(c, m, argc, argv);

        if (r != 0)
                return r;
        r = sd_bus_message_append(m, "ta{sv}", mask, 1, "max-age-usec", "t", MAX_AGE_USEC);
        if (r < 0)
                return client_garbled(r);
        r = client_send(c, TAKE_PTR(m), &reply);
        return r ?: print_all(c, reply);
}
