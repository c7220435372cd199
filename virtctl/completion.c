/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "completion.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs.h"
#include "options.h"
#include "storage.h"
#include "str.h"
#include "usage.h"
#include "values.h"
#include "verbs.h"

typedef struct Context {
        Client client;
        char **words;            /* the verb and its arguments so far */
        int n;
        const char *begun;       /* what is typed of the next */
} Context;

static void offer(const Context *x, const char *word) {
        if (word && str_after(word, x->begun))
                puts(word);
}

/* "up|down": what can be typed. */
static void offer_choices(const Context *x, const char *prefix, const char *choices, size_t length) {
        for (const char *end = choices + length; choices < end;) {
                size_t n = strcspn(choices, "|");
                _cleanup_free_ char *word = NULL;

                n = MIN(n, (size_t) (end - choices));
                word = strf("%s%.*s", prefix, (int) n, choices);
                offer(x, word);
                choices += n + 1;
        }
}

/* --- live names --- */

static json_t *ask(Context *x, const char *path, const char *interface, const char *method) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        return client_call(&x->client, path, interface, method, &reply, NULL) == 0 ? value_to_json(reply) : NULL;
}

static void offer_rows(Context *x, const char *path, const char *interface, const char *method, size_t column) {
        json_auto_t *rows = path ? ask(x, path, interface, method) : NULL;
        const json_t *row;
        size_t i;

        json_array_foreach(rows, i, row)
                offer(x, json_string_value(json_array_get(row, column)));
}

static void offer_domains(Context *x) {
        offer_rows(x, QEMU1_ROOT, MANAGER_INTERFACE, "ListDomains", 0);
}

static void offer_networks(Context *x) {
        offer_rows(x, NETWORK1_ROOT, "org.virtbus.network1.Manager", "ListNetworks", 0);
}

static void offer_pools(Context *x) {
        offer_rows(x, STORAGE1_ROOT, STORAGE1_MANAGER, "ListPools", 0);
}

static void offer_volumes(Context *x) {
        _cleanup_free_ char *pool = NULL;

        if (x->n > 1 && pool_find(&x->client, x->words[1], &pool) == 0)
                offer_rows(x, pool, STORAGE1_POOL, "ListVolumes", 0);
}

static void offer_secrets(Context *x) {
        offer_rows(x, STORAGE1_ROOT, STORAGE1_MANAGER, "ListSecrets", 0);
}

static void offer_lockspaces(Context *x) {
        offer_rows(x, LOCK1_ROOT, "org.virtbus.lock1.Manager", "ListLockspaces", 0);
}

/* By their targets where they have one ("vda"), and by their ids. */
static void offer_devices_with(Context *x, const char *interface) {
        _cleanup_free_ char *domain = NULL;
        json_auto_t *devices = NULL;
        json_t *interfaces;
        const char *path;

        if (x->n < 2 || client_domain(&x->client, x->words[1], &domain) != 0)
                return;
        devices = ask(x, domain, DOMAIN_INTERFACE, "GetDevices");
        json_object_foreach(devices, path, interfaces)
                if (json_object_get(interfaces, interface)) {
                        offer(x, json_string_value(json_object_get(json_object_get(interfaces, QEMU1 ".Disk"), "Target")));
                        offer(x, json_string_value(json_object_get(json_object_get(interfaces, QEMU1 ".Device"), "Alias")));
                }
}

static void offer_devices(Context *x) {
        offer_devices_with(x, QEMU1 ".Device");
}

static void offer_displays(Context *x) {
        offer_devices_with(x, QEMU1 ".Graphics");
}

static void offer_sources(Context *x) {
        json_auto_t *rows = ask(x, "/org/virtbus/log1", "org.virtbus.log1.Manager", "ListLogs");
        const json_t *row;
        size_t i;

        json_array_foreach(rows, i, row)
                if (x->n > 1 && streq(json_string_value(json_array_get(row, 1)) ?: "", x->words[1]))
                        offer(x, json_string_value(json_array_get(row, 2)));
}

static void offer_jobs(Context *x) {
        json_auto_t *list = jobs_list(&x->client);
        const json_t *job;
        size_t i;

        json_array_foreach(list, i, job)
                offer(x, json_string_value(json_object_get(job, "job")));
}

static void offer_files(Context *x) {
        puts("/file");
}

static void offer_folders(Context *x) {
        puts("/folder");
}

/* --- what a word of the usage means --- */

static const struct {
        const char *word;
        void (*offer)(Context *x);
        bool is_local;
} kinds[] = {
        { "NAME", offer_domains }, { "PATTERN", offer_domains }, { "NETWORK", offer_networks }, { "POOL", offer_pools }, { "VOLUME", offer_volumes },
        { "SECRET", offer_secrets }, { "LOCKSPACE", offer_lockspaces }, { "DEVICE", offer_devices }, { "DRIVE", offer_devices },
        { "GRAPHICS", offer_displays }, { "SOURCE", offer_sources }, { "JOB", offer_jobs },
        { "FILE", offer_files, .is_local = true }, { "FOLDER", offer_folders, .is_local = true },
};

/* Nothing is said of errors: a shell would print it into the line that is typed. */
static void be_silent(void) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (null >= 0)
                (void) dup2(null, STDERR_FILENO);
}

static void offer_argument(Context *x, const Verb *verb) {
        UsageWord w;

        if (!usage_word(verb->arguments, (size_t) x->n - 1, &w))
                return;
        if (w.text[0] >= 'a' && w.text[0] <= 'z') {
                offer_choices(x, "", w.text, w.length);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (strlen(kinds[i].word) == w.length && strncmp(kinds[i].word, w.text, w.length) == 0 &&
                    (kinds[i].is_local || client_connect(&x->client) == 0))
                        kinds[i].offer(x);
}

static void offer_options(Context *x, const Verb *verb) {
        for (size_t i = 0; i < n_options; i++) {
                const Option *o = &options[i];
                _cleanup_free_ char *word = strf("--%s%s", o->name, o->argument ? "=" : "");
                const char *after = o->argument && word ? str_after(x->begun, word) : NULL;

                if (verb ? !option_is_for(o, verb->name) : o->verbs && !o->common)
                        continue;
                if (after && o->argument[0] >= 'a')
                        offer_choices(x, word, o->argument, strlen(o->argument));
                else if (!after)
                        offer(x, word);
        }
}

int completion_print(int n, char **words) {
        Context x = { .client = { .quiet = true, .no_ask = true }, .begun = n > 0 ? words[n - 1] : "" };
        const Verb *verb;

        be_silent();
        if (n > 0) {
                char *name = words[n - 1];
                _cleanup_free_ char **line = calloc((size_t) n + 1, sizeof(*line));

                /* getopt skips the first, and must not see what is not complete. */
                if (!line)
                        return FAILED;
                line[0] = name;
                memcpy(line + 1, words, (size_t) (n - 1) * sizeof(*line));
                x.client.help = true;        /* which options are for which verb does not matter yet */
                if (options_parse(&x.client, n, line, &x.words, &x.n) != 0)
                        return USAGE;
        }
        verb = x.n > 0 ? verb_find(x.words[0]) : NULL;
        if (*x.begun == '-')
                offer_options(&x, verb);
        else if (x.n == 0)
                for (size_t i = 0; i < n_verbs; i++)
                        offer(&x, verbs[i].name);
        else if (verb)
                offer_argument(&x, verb);
        client_close(&x.client);
        free(x.words);
        return DONE;
}
