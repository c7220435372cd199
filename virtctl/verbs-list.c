/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "domains.h"
#include "rows.h"
#include "show.h"
#include "str.h"
#include "verbs.h"

/* `virtctl list`: one call, however many VMs there are. */

/* In the order of DomainState. */
static const char *const states[] = { "shutoff", "starting", "running", "paused", "shutdown", "crashed", "pmsuspended", "broken" };

static int check_states(const char *wanted) {
        _cleanup_free_ char *copy = strdup(wanted);
        char *rest = copy, *word;

        while ((word = strsep(&rest, ","))) {
                const char *near = str_nearest(word, states, ARRAY_SIZE(states));
                bool known = false;

                for (size_t i = 0; i < ARRAY_SIZE(states) && !known; i++)
                        known = streq(states[i], word);
                if (known)
                        continue;
                if (near)
                        (void) client_fail("--state=%s: there is no state \"%s\"; did you mean %s?", wanted, word, near);
                else
                        (void) client_fail("--state=%s: there is no state \"%s\", but running, paused, shutoff, starting, shutdown, crashed, "
                                           "pmsuspended and broken", wanted, word);
                return USAGE;
        }
        return 0;
}

static bool has_state(const char *wanted, const char *state) {
        size_t n = strlen(state);

        for (const char *w = wanted; w; w = strchr(w, ',') ? strchr(w, ',') + 1 : NULL)
                if (strncmp(w, state, n) == 0 && (w[n] == ',' || w[n] == '\0'))
                        return true;
        return !wanted;
}

static json_t *addresses_of(const json_t *domain) {
        json_t *list = json_array(), *address;
        size_t i;

        json_array_foreach(json_object_get(domain, "Addresses"), i, address)
                (void) json_array_append(list, json_array_get(address, 1));
        return list;
}

static json_t *summary(const json_t *domain) {
        static const struct {
                const char *key, *property;
        } same[] = {
                { "name", "Name" }, { "state", "State" }, { "uuid", "UUID" }, { "unit", "Unit" }, { "path", "Path" },
                { "memory", "MemoryCurrent" }, { "autostart", "Autostart" }, { "since", "StateTimestamp" },
        };
        json_t *o = json_object();

        for (size_t i = 0; i < ARRAY_SIZE(same); i++)
                (void) json_object_set(o, same[i].key, json_object_get(domain, same[i].property));
        (void) json_object_set(o, "cpus", json_array_get(json_object_get(domain, "VCPUs"), 0));
        (void) json_object_set_new(o, "addresses", addresses_of(domain));
        return o;
}

/* What people read where programs get numbers. */
static void add_words(json_t *vm, uint64_t now) {
        const json_t *addresses = json_object_get(vm, "addresses"), *address;
        bool broken = streq(show_text(vm, "state"), "broken");
        uint64_t since = show_number(vm, "since");
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *joined = NULL;
        char text[64] = "";
        size_t i;

        json_array_foreach(addresses, i, address)
                text_addf(&t, "%s%s", i > 0 ? " " : "", json_string_value(address) ?: "");
        joined = text_finish(&t);
        (void) json_object_set_new(vm, "addresses-text", json_string(joined ?: ""));
        if (!broken)
                (void) snprintf(text, sizeof(text), "%" PRIu64, show_number(vm, "cpus"));
        (void) json_object_set_new(vm, "cpus-text", json_string(text));
        text[0] = '\0';
        if (!broken)
                format_size(show_number(vm, "memory"), text, sizeof(text));
        (void) json_object_set_new(vm, "memory-text", json_string(text));
        (void) json_object_set_new(vm, "autostart-text", json_string(json_is_true(json_object_get(vm, "autostart")) ? "enabled" : "disabled"));
        text[0] = '\0';
        if (since > 0) {
                format_age(now > since ? now - since : 0, text, sizeof(text) - strlen(" ago"));
                strcat(text, " ago");
        }
        (void) json_object_set_new(vm, "since-text", json_string(text));
}

int verb_list(Client *c, int argc, char **argv) {
        static const char *const properties[] = {
                "Name", "State", "UUID", "Unit", "VCPUs", "MemoryCurrent", "Addresses", "Autostart", "StateTimestamp",
        };
        static const char *const columns[] = { "NAME", "STATE", "CPUS", "MEMORY", "ADDRESSES", "AUTOSTART", "SINCE" };
        static const char *const shown[] = { "name", "state", "cpus-text", "memory-text", "addresses-text", "autostart-text", "since-text" };
        const char *wanted = option_given(c, "state", 0);
        json_auto_t *all = NULL, *list = json_array();
        json_t *domain, *vm;
        size_t i;
        int r = wanted ? check_states(wanted) : 0;

        if (r == 0)
                r = domains_read(c, properties, ARRAY_SIZE(properties), argv, argc, &all);
        if (r != 0)
                return r;
        json_array_foreach(all, i, domain)
                if (has_state(wanted, show_text(domain, "State")))
                        (void) json_array_append_new(list, summary(domain));
        if (c->json != JSON_OFF)
                return print_json(c, json_incref(list));
        json_array_foreach(list, i, vm)
                add_words(vm, now_usec(CLOCK_REALTIME));
        return rows_print(c, list, columns, shown, ARRAY_SIZE(columns), "machine");
}
