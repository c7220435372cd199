/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domains.h"

#include <fnmatch.h>
#include <string.h>

#include "mem.h"
#include "show.h"
#include "str.h"
#include "values.h"

static bool is_pattern(const char *word) {
        return strpbrk(word, "*?[") != NULL;
}

/* Patterns are for names: those of a UUID's digits are met by chance. */
static bool matches(const json_t *domain, char *const *patterns, int n) {
        for (int i = 0; i < n; i++)
                if (streq(patterns[i], show_text(domain, "Name")) || fnmatch(patterns[i], show_text(domain, "Name"), 0) == 0 ||
                    strcasecmp(patterns[i], show_text(domain, "UUID")) == 0)
                        return true;
        return n == 0;
}

static int by_name(const void *a, const void *b) {
        return strcmp(show_text(*(json_t *const *) a, "Name"), show_text(*(json_t *const *) b, "Name"));
}

/* [[path, properties], …] as a sorted list of properties. */
static json_t *select_domains(const json_t *rows, char *const *patterns, int n_patterns) {
        json_t **sorted = new0(json_t *, json_array_size(rows)), *list = json_array(), *row;
        size_t i, n = 0;

        json_array_foreach(rows, i, row) {
                json_t *domain = json_array_get(row, 1);

                (void) json_object_set(domain, "Path", json_array_get(row, 0));
                if (sorted && matches(domain, patterns, n_patterns))
                        sorted[n++] = domain;
        }
        if (sorted)
                qsort(sorted, n, sizeof(*sorted), by_name);
        for (i = 0; i < n; i++)
                (void) json_array_append(list, sorted[i]);
        free(sorted);
        return list;
}

int domains_read(Client *c, const char *const *properties, size_t n_properties, char *const *patterns, int n_patterns, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        json_auto_t *rows = NULL;
        int r = client_new_call(c, &m, QEMU1_ROOT, MANAGER_INTERFACE, "ListDomainProperties");

        if (r != 0)
                return r;
        r = sd_bus_message_append(m, "ao", 0);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; i < n_properties && r >= 0; i++)
                r = sd_bus_message_append(m, "s", properties[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r < 0)
                return client_garbled(r);
        r = client_send(c, TAKE_PTR(m), &reply);
        if (r != 0)
                return r;
        rows = value_to_json(reply);
        *ret = select_domains(rows, patterns, n_patterns);
        return 0;
}

static int find_by_pattern(Client *c, char *pattern, json_t *list) {
        static const char *const properties[] = { "Name", "UUID" };
        json_auto_t *found = NULL;
        const json_t *domain;
        size_t i;
        int r = domains_read(c, properties, ARRAY_SIZE(properties), &pattern, 1, &found);

        if (r != 0)
                return r;
        json_array_foreach(found, i, domain)
                (void) json_array_append(list, json_object_get(domain, "Path"));
        if (json_array_size(found) > 0)
                return 0;
        (void) client_fail("no VM is called like \"%s\"", pattern);
        return NO_SUCH;
}

int domains_find(Client *c, char *const *names, int n, json_t **ret) {
        int status = 0;

        *ret = json_array();
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;
                int r = is_pattern(names[i]) ? find_by_pattern(c, names[i], *ret) : client_domain(c, names[i], &path);

                if (path)
                        (void) json_array_append_new(*ret, json_string(path));
                status = status ?: r;
        }
        return status;
}
