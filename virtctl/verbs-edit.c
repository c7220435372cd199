/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "definition.h"
#include "editor.h"
#include "network.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Definitions in an editor. What was written gets lost by no refusal, and overwrites nothing that somebody else has changed meanwhile. */

typedef struct Kind {
        const char *interface, *noun;
        ClientFind find;
        bool has_secrets;
        int (*tell)(Client *c, const char *name, const char *path);      /* what comes of it, once it is stored */
} Kind;

typedef struct Edit {
        Client *client;
        const Kind *kind;
        const char *name;
        char *path, *text;
        uint64_t generation;          /* what `text` was made from; 0: whatever it is now */
        bool keep_secrets;            /* they could not be read, so they are not in the text */
} Edit;

/* There may be passwords in the one before. */
static void take_text(Edit *e, char *text) {
        if (e->text)
                explicit_bzero(e->text, strlen(e->text));
        free(e->text);
        e->text = text;
}

enum { AGAIN = -1 };                  /* besides exit statuses */

static int get_property(Client *c, const char *path, const char *interface, const char *name, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, path, "org.freedesktop.DBus.Properties", "Get", &reply, "ss", interface, name);

        if (r == 0)
                *ret = value_to_json(reply);
        return r;
}

static int get_generation(const Edit *e, uint64_t *ret) {
        json_auto_t *value = NULL;
        int r = get_property(e->client, e->path, e->kind->interface, "ConfigGeneration", &value);

        if (r == 0)
                *ret = (uint64_t) json_integer_value(value);
        return r;
}

/* Who may not see secrets is not asked for a password because of them. */
static bool export_with_secrets(Edit *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *text;

        if (client_new_call(e->client, &m, e->path, e->kind->interface, "ExportDefinition") != 0 ||
            sd_bus_message_set_allow_interactive_authorization(m, false) < 0 ||
            sd_bus_message_append(m, "st", FORMAT_XML, FLAG_CONFIG | FLAG_SENSITIVE) < 0 || client_try(e->client, TAKE_PTR(m), &error, &reply) < 0 ||
            sd_bus_message_read(reply, "s", &text) < 0)
                return false;
        e->text = strdup(text);
        return e->text;
}

static int export_text(Edit *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        int r;

        if (e->kind->has_secrets && export_with_secrets(e))
                return 0;
        e->keep_secrets = e->kind->has_secrets;
        r = client_call(e->client, e->path, e->kind->interface, "ExportDefinition", &reply, "st", FORMAT_XML,
                        e->kind->has_secrets ? FLAG_CONFIG : UINT64_C(0));
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return client_garbled(r);
        e->text = strdup(text);
        return e->text ? 0 : client_fail("out of memory");
}

/* --- a refusal --- */

/* The line that an error names, between those around it. */
static void show_line(const char *text, const char *message) {
        const char *word = strstr(message, "line ");
        unsigned long wanted = word ? strtoul(word + strlen("line "), NULL, 10) : 0;
        unsigned long n = 1;

        for (const char *line = text; wanted > 0 && *line; n++) {
                size_t length = strcspn(line, "\n");

                if (n + 1 >= wanted && n <= wanted + 1)
                        fprintf(stderr, "%6lu %c %.*s\n", n, n == wanted ? '>' : ' ', (int) length, line);
                line += length + (line[length] == '\n');
        }
}

static char ask(const char *question, const char *answers) {
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        for (;;) {
                fprintf(stderr, "%s ", question);
                if (getline(&line, &size, stdin) <= 0)
                        return 'q';
                if (*line != '\n' && strchr(answers, *line))
                        return *line;
        }
}

/* On a terminal there is another chance; elsewhere the text is only kept. AGAIN, or an exit status. */
static int decide(Edit *e, int status) {
        _cleanup_free_ char *kept = NULL;
        uint64_t generation = e->generation;
        bool changed, is_kept = editor_keep(e->name, e->text, &kept) == 0;
        char answer;

        if (!isatty(STDIN_FILENO))
                return status;
        changed = e->generation != 0 && get_generation(e, &generation) == 0 && generation != e->generation;
        answer = changed ? ask("[e]dit again, [o]verwrite what was changed meanwhile, [q]uit?", "eoq") : ask("[e]dit again, [q]uit?", "eq");
        if (answer == 'q')
                return status;
        if (answer == 'o')
                e->generation = generation;
        if (is_kept)
                (void) unlink(kept);
        return answer == 'o' ? DONE : AGAIN;
}

/* --- the edit --- */

static int fill_call(const Edit *e, sd_bus_message *m) {
        int r = sd_bus_message_append(m, "sst", FORMAT_XML, e->text, FLAG_CONFIG);

        if (r < 0)
                return r;
        return e->keep_secrets ? sd_bus_message_append(m, "a{sv}", 2, "if-generation", "t", e->generation, "keep-secrets", "b", 1)
                               : sd_bus_message_append(m, "a{sv}", 1, "if-generation", "t", e->generation);
}

static int send_text(const Edit *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *message;
        int status, r = client_new_call(e->client, &m, e->path, e->kind->interface, "Reconfigure");

        if (r != 0)
                return r;
        if (fill_call(e, m) < 0)
                return client_fail("out of memory");
        r = client_try(e->client, TAKE_PTR(m), &error, NULL);
        if (r >= 0)
                return 0;
        message = error.message ?: "";
        status = client_tell(e->client, &error, service_of(e->path), r);
        show_line(e->text, message);
        if (e->kind->has_secrets && (str_ends(error.name ?: "", ".DomainExists") || strstr(message, "name and uuid must stay")))
                fprintf(stderr, "  Names change by: virtctl rename %s NEW-NAME\n", e->name);
        return status;
}

static int edit_text(Edit *e) {
        int r = AGAIN;

        while (r == AGAIN) {
                char *changed;

                r = editor_run(e->client, e->name, e->text, &changed);
                if (r != 0 || !changed)
                        return r;
                take_text(e, changed);
                while ((r = send_text(e)) != 0 && (r = decide(e, r)) == DONE)
                        ;
        }
        if (r == 0 && !e->client->quiet)
                fprintf(stderr, "%s %s is changed.\n", e->kind->noun, e->name);
        return r ?: e->kind->tell(e->client, e->name, e->path);
}

static int edit(Client *c, const Kind *kind, const char *name) {
        Edit e = { .client = c, .kind = kind, .name = name };
        int r = kind->find(c, name, &e.path) ?: get_generation(&e, &e.generation) ?: export_text(&e) ?: edit_text(&e);

        take_text(&e, NULL);
        free(e.path);
        return r;
}

/* --- of what --- */

static int tell_pending(Client *c, const char *name, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *rows = NULL;
        const json_t *row;
        size_t i;
        int r = client_call(c, path, DOMAIN_INTERFACE, "ListPendingChanges", &reply, NULL);

        if (r != 0)
                return r;
        rows = value_to_json(reply);
        if (c->quiet || json_array_size(rows) == 0)
                return 0;
        fprintf(stderr, "It runs, and these changes wait:\n");
        json_array_foreach(rows, i, row) {
                const char *device = json_string_value(json_array_get(row, 0)) ?: "", *setting = json_string_value(json_array_get(row, 1)) ?: "";
                const char *when = json_string_value(json_array_get(row, 4)) ?: "";

                fprintf(stderr, "  %s%s%s: %s\n", device, *device && *setting ? " " : "", setting,
                        streq(when, "now")      ? "can be had now, by attach, detach or change"
                        : streq(when, "reboot") ? "until the guest boots again, once attach, detach or change has done it"
                                                : "until it is powered off and started");
        }
        fprintf(stderr, "See: virtctl pending %s\n", name);
        return 0;
}

static int tell_active(Client *c, const char *name, const char *path, const char *interface, const char *noun) {
        json_auto_t *value = NULL;
        int r = get_property(c, path, interface, "Active", &value);

        if (r == 0 && !c->quiet && json_is_true(value))
                fprintf(stderr, "It is active, and stays as it is until: virtctl stop-%s %s && virtctl start-%s %s\n", noun, name, noun, name);
        return r;
}

static int tell_network(Client *c, const char *name, const char *path) {
        return tell_active(c, name, path, NETWORK1_NETWORK, "network");
}

static int tell_pool(Client *c, const char *name, const char *path) {
        return tell_active(c, name, path, STORAGE1_POOL, "pool");
}

int verb_edit(Client *c, int argc, char **argv) {
        static const Kind kind = { DOMAIN_INTERFACE, "VM", client_domain, true, tell_pending };

        return edit(c, &kind, argv[0]);
}

int verb_edit_network(Client *c, int argc, char **argv) {
        static const Kind kind = { NETWORK1_NETWORK, "Network", network_find, false, tell_network };

        return edit(c, &kind, argv[0]);
}

int verb_edit_pool(Client *c, int argc, char **argv) {
        static const Kind kind = { STORAGE1_POOL, "Pool", pool_find, false, tell_pool };

        return edit(c, &kind, argv[0]);
}
