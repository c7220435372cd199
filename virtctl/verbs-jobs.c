/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "jobs.h"
#include "rows.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* What is under way, in all daemons. */

/* Calls without starting a daemon for it. NULL: it does not run, or has no answer. */
static json_t *ask(Client *c, const Service *s, const char *path, const char *interface, const char *method, const char *first, const char *second) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = sd_bus_message_new_method_call(c->bus, &m, s->bus_name, path, interface, method);

        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0 && first)
                r = sd_bus_message_append(m, "ss", first, second);
        if (r >= 0)
                r = client_try(c, TAKE_PTR(m), &error, &reply);
        return r >= 0 ? value_to_json(reply) : NULL;
}

static void add_jobs(Client *c, const Service *s, json_t *list) {
        static const char *const keys[] = { "id", "path", "operation", "object", "phase" };
        _cleanup_free_ char *root = strf("/org/virtbus/%s", s->name), *manager = strf("%s.Manager", s->bus_name);
        json_auto_t *rows = root && manager ? ask(c, s, root, manager, "ListJobs", NULL, NULL) : NULL, *jobs = NULL;
        json_t *job;
        size_t i;

        jobs = rows_with_keys(rows, keys, ARRAY_SIZE(keys));
        json_array_foreach(jobs, i, job) {
                /* "qemu/7": the number after its name is of the interface. */
                (void) json_object_set_new(job, "job", json_sprintf("%.*s/%llu", (int) strcspn(s->name, "0123456789"), s->name,
                                                                    (unsigned long long) show_number(job, "id")));
                (void) json_object_set_new(job, "daemon", json_string(s->daemon));
                (void) json_array_append(list, job);
        }
}

json_t *jobs_list(Client *c) {
        json_t *list = json_array();
        const Service *s;

        for (size_t i = 0; (s = service_at(i)); i++)
                if (s->has_jobs)
                        add_jobs(c, s, list);
        return list;
}

/* --- jobs --- */

/* What it works on, as people call it. */
static json_t *name_of(Client *c, const char *path) {
        static const struct {
                const char *part, *interface;
        } kinds[] = { { "/volume/", STORAGE1_VOLUME }, { "/pool/", STORAGE1_POOL }, { "/domain/", DOMAIN_INTERFACE } };
        json_t *name = NULL;

        for (size_t i = 0; !name && i < ARRAY_SIZE(kinds); i++)
                if (strstr(path, kinds[i].part))
                        name = ask(c, service_of(path), path, "org.freedesktop.DBus.Properties", "Get", kinds[i].interface, "Name");
        return name ?: json_string("");
}

/* Its properties, called as keys of lists are. */
static void add_properties(json_t *job, const json_t *said) {
        static const struct {
                const char *property, *key;
        } rows[] = {
                { "Phase", "phase" }, { "Progress", "progress" }, { "BytesDone", "bytes-done" }, { "BytesTotal", "bytes-total" }, { "Rate", "rate" },
                { "StartTimestamp", "since" }, { "ExpectedEndTimestamp", "expected-end" }, { "StartedByUID", "uid" }, { "Cancelable", "cancelable" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                (void) json_object_set(job, rows[i].key, json_object_get(said, rows[i].property));
}

static void add_words(json_t *job) {
        uint64_t now = now_usec(CLOCK_REALTIME), started = show_number(job, "since"), end = show_number(job, "expected-end");
        double progress = json_number_value(json_object_get(job, "progress"));
        char since[64] = "", left[64] = "";

        if (started > 0)
                format_age(now > started ? now - started : 0, since, sizeof(since));
        if (end > now)
                format_age(end - now, left, sizeof(left));
        (void) json_object_set_new(job, "for", json_string(since));
        (void) json_object_set_new(job, "left", json_string(left));
        (void) json_object_set_new(job, "done", progress >= 0 && started > 0 ? json_sprintf("%.0f%%", progress * 100) : json_string(""));
}

/* One that has ended since is not listed. */
static json_t *describe(Client *c, json_t *list) {
        json_t *known = json_array(), *job;
        size_t i;

        json_array_foreach(list, i, job) {
                json_auto_t *said = client_look_at_job(c, show_text(job, "path"));

                if (!said)
                        continue;
                (void) json_object_set_new(job, "name", name_of(c, show_text(job, "object")));
                add_properties(job, said);
                (void) json_array_append(known, job);
                if (c->json == JSON_OFF)
                        add_words(job);
        }
        return known;
}

int verb_jobs(Client *c, int argc, char **argv) {
        static const char *const columns[] = { "JOB", "DAEMON", "OPERATION", "OF", "PHASE", "DONE", "FOR", "LEFT" };
        static const char *const keys[] = { "job", "daemon", "operation", "name", "phase", "done", "for", "left" };
        json_auto_t *list = jobs_list(c), *known = describe(c, list);

        return c->json != JSON_OFF ? print_json(c, json_incref(known)) : rows_print(c, known, columns, keys, ARRAY_SIZE(columns), "job");
}

/* --- cancel --- */

static bool is_meant(const json_t *job, const char *word) {
        const char *name = show_text(job, "job"), *number = strchr(name, '/');

        return streq(name, word) || streq(show_text(job, "path"), word) || (number && streq(number + 1, word));
}

/* By "qemu/7", or by the number alone where only one daemon has it. */
static int job_find(Client *c, const char *word, char **ret) {
        json_auto_t *list = jobs_list(c);
        const json_t *job, *found = NULL;
        size_t i;

        json_array_foreach(list, i, job) {
                if (!is_meant(job, word))
                        continue;
                if (found)
                        return client_fail("%s can be %s or %s", word, show_text(found, "job"), show_text(job, "job"));
                found = job;
        }
        if (!found) {
                (void) client_fail("there is no job %s; virtctl jobs lists those that are", word);
                return NO_SUCH;
        }
        *ret = strdup(show_text(found, "path"));
        return *ret ? 0 : client_fail("out of memory");
}

static int cancel_one(Client *c, const char *path) {
        return client_call(c, path, "org.virtbus.job1", "Cancel", NULL, "ta{sv}", UINT64_C(0), 0);
}

int verb_cancel(Client *c, int argc, char **argv) {
        return client_each(c, argc, argv, job_find, cancel_one);
}
