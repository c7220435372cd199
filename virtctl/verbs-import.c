/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "libvirt-files.h"
#include "libvirt-xml.h"
#include "mem.h"
#include "network.h"
#include "rows.h"
#include "service.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "verbs.h"

/* import-libvirt: what libvirt has is defined here. Nothing is changed there, and without --write nothing here. */

#define FORMAT_XML "libvirt-xml"

static const struct {
        const char *root, *manager, *define, *find, *interface;
        uint64_t export_flags;           /* the definition, not what is up */
        bool same_name_is_it;            /* others mean it by its name, so that its UUID may be another one */
} daemons[] = {
        [LIBVIRT_SECRET] = { STORAGE1_ROOT, STORAGE1_MANAGER, "DefineSecret", "GetSecret", STORAGE1_SECRET, 0, false },
        [LIBVIRT_POOL] = { STORAGE1_ROOT, STORAGE1_MANAGER, "DefinePool", "GetPool", STORAGE1_POOL, FLAG_CONFIG, true },
        [LIBVIRT_NETWORK] = { NETWORK1_ROOT, NETWORK1_MANAGER, "DefineNetwork", "GetNetwork", NETWORK1_NETWORK, FLAG_CONFIG, true },
        [LIBVIRT_DOMAIN] = { QEMU1_ROOT, MANAGER_INTERFACE, "DefineDomain", "GetDomain", DOMAIN_INTERFACE, FLAG_CONFIG, false },
};

static const char *const results[] = {
        [IMPORT_NEW] = "new", [IMPORT_SAME] = "same", [IMPORT_DIFFERS] = "differs", [IMPORT_REFUSED] = "refused", [IMPORT_DEFINED] = "defined",
        [IMPORT_FAILED] = "failed",
};

/* --- what there is here --- */

/* NULL: nothing is called so. */
static char *find_by(Client *c, const LibvirtItem *item, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        if (is_empty(name) ||
            ask(c, daemons[item->kind].root, daemons[item->kind].manager, daemons[item->kind].find, &error, &reply, "s", name) < 0 ||
            sd_bus_message_read(reply, "o", &path) < 0)
                return NULL;
        return strdup(path);
}

/* NULL: it can't be had; then it counts as another one. */
static char *take_text(sd_bus_message *reply, int r) {
        const char *text;

        return r >= 0 && sd_bus_message_read(reply, "s", &text) >= 0 ? strdup(text) : NULL;
}

static char *export_one(Client *c, LibvirtKind kind, const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = ask(c, path, daemons[kind].interface, "ExportDefinition", &error, &reply, "st", FORMAT_XML, daemons[kind].export_flags);

        return take_text(reply, r);
}

static char *convert(Client *c, const char *text) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = ask(c, QEMU1_ROOT, MANAGER_INTERFACE, "ConvertDefinition", &error, &reply, "sssta{sv}", FORMAT_XML, text, FORMAT_XML, UINT64_C(0), 0);

        return take_text(reply, r);
}

/* virtqemud says what both come to; the others keep what was written. */
static bool is_same(Client *c, const LibvirtItem *item, const char *path) {
        _cleanup_free_ char *ours = export_one(c, item->kind, path), *a = NULL, *b = NULL;

        if (!ours)
                return false;
        if (item->kind != LIBVIRT_DOMAIN) {
                a = item->keeps_uuid ? libvirt_xml_without_uuid(item->text) : strdup(item->text);
                return a && libvirt_xml_same(a, ours);
        }
        a = convert(c, item->text);
        b = convert(c, ours);
        return a && b && libvirt_xml_same(a, b);
}

/* --- one of them --- */

static int take_error(LibvirtItem *item, ImportResult result, const sd_bus_error *error, int r) {
        item->result = result;
        free_and_replace(&item->reason, NULL);
        free_and_replace(&item->hint, NULL);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN)) {
                item->reason = strf("%s is not there", service_of(daemons[item->kind].root)->daemon);
                item->hint = strdup("virtctl check says why");
                return item->reason && item->hint ? 0 : -ENOMEM;
        }
        return ask_error(error, r, &item->reason, &item->hint);
}

/* 0: it was, or the item says why not. */
static int define(Client *c, LibvirtItem *item, uint64_t flags, ImportResult otherwise) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *without = item->keeps_uuid ? libvirt_xml_without_uuid(item->text) : NULL;
        int r;

        if (item->keeps_uuid && !without)
                return -ENOMEM;
        r = ask(c, daemons[item->kind].root, daemons[item->kind].manager, daemons[item->kind].define, &error, &reply, "ssta{sv}", FORMAT_XML,
                without ?: item->text, flags, 0);
        return r < 0 ? take_error(item, otherwise, &error, r) : 0;
}

/* New, there already, or something that the daemon can't take. */
static int judge(Client *c, LibvirtItem *item) {
        _cleanup_free_ char *by_uuid = find_by(c, item, item->uuid), *by_name = NULL;
        const char *path = by_uuid;

        if (item->kind != LIBVIRT_SECRET)
                by_name = find_by(c, item, item->name);
        if (!path && by_name && daemons[item->kind].same_name_is_it) {
                item->keeps_uuid = true;
                path = by_name;
        }
        item->result = !path ? IMPORT_NEW : is_same(c, item, path) ? IMPORT_SAME : IMPORT_DIFFERS;
        return item->result == IMPORT_SAME ? 0 : define(c, item, FLAG_VALIDATE_ONLY, IMPORT_REFUSED);
}

/* --- doing it --- */

static int set_autostart(Client *c, LibvirtItem *item, const char *path) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = ask(c, path, daemons[item->kind].interface, "SetAutostart", &error, NULL, "bta{sv}", 1, UINT64_C(0), 0);

        return r < 0 ? strv_pushf(&item->warnings, "it is defined, but not enabled: %s", error.message ?: strerror(-r)) : 0;
}

static int send_value(Client *c, const char *path, const void *data, size_t length, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = client_new_call(c, &m, path, STORAGE1_SECRET, "SetValue");

        if (r != 0)
                return -ENOMEM;
        r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, length);
        if (r >= 0)
                r = sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0);
        return r < 0 ? r : sd_bus_call(c->bus, m, 0, error, NULL);
}

static int set_value(Client *c, const LibvirtFiles *l, LibvirtItem *item, const char *path) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        void *data = NULL;
        size_t length = 0;
        int r = libvirt_secret_value(l, item, &data, &length);

        if (r == -ENOENT)
                return strv_pushf(&item->warnings, "it has no value there: virtctl set-secret %s", item->name);
        if (r >= 0)
                r = send_value(c, path, data, length, &error);
        if (data)
                explicit_bzero(data, length);
        free(data);
        return r < 0 ? strv_pushf(&item->warnings, "it is defined, but has no value: %s", error.message ?: strerror(-r)) : 0;
}

static int import(Client *c, const LibvirtFiles *l, LibvirtItem *item) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (item->result != IMPORT_NEW && !(item->result == IMPORT_DIFFERS && c->force))
                return 0;
        item->result = IMPORT_DEFINED;
        r = define(c, item, 0, IMPORT_FAILED);
        if (r < 0 || item->result == IMPORT_FAILED)
                return r;
        path = find_by(c, item, item->kind == LIBVIRT_SECRET ? item->uuid : item->name);
        if (!path)
                return strv_push(&item->warnings, "it is defined, but was gone again");
        if (item->kind == LIBVIRT_SECRET)
                return set_value(c, l, item, path);
        return item->autostart ? set_autostart(c, item, path) : 0;
}

/* --- telling --- */

static json_t *item_to_json(const LibvirtItem *item) {
        json_t *warnings = json_array();

        for (size_t i = 0; item->warnings && item->warnings[i]; i++)
                (void) json_array_append_new(warnings, json_string(item->warnings[i]));
        return json_pack("{s:s, s:s, s:s*, s:s, s:s, s:b, s:s*, s:s*, s:o}", "kind", libvirt_kind_name(item->kind), "name", item->name, "uuid",
                         item->uuid, "file", item->file, "result", results[item->result], "autostart", item->autostart, "reason", item->reason,
                         "hint", item->hint, "warnings", warnings);
}

static json_t *items_to_json(const LibvirtFiles *l) {
        json_t *all = json_array();

        for (size_t i = 0; i < l->n; i++)
                (void) json_array_append_new(all, item_to_json(&l->items[i]));
        return all;
}

/* What becomes of one that is here already. */
static const char *fate(const Client *c, bool write) {
        return write ? "it stays as it is, --force replaces it" : c->force ? "--write would replace it" : "it would stay as it is, --force would replace it";
}

static void tell_details(const Client *c, const LibvirtItem *item, bool write) {
        bool left = item->result == IMPORT_DIFFERS;

        if (!left && !item->reason && !item->warnings)
                return;
        printf("\n%s %s, %s:\n", libvirt_kind_name(item->kind), item->name, item->file);
        if (left)
                printf("  one that says something else is here already: %s\n", fate(c, write));
        if (item->reason)
                printf("  %s\n", item->reason);
        if (item->hint)
                printf("  %s\n", item->hint);
        for (size_t i = 0; item->warnings && item->warnings[i]; i++)
                printf("  %s\n", item->warnings[i]);
}

static void tell_sum(const LibvirtFiles *l, bool write) {
        size_t n[ARRAY_SIZE(results)] = {};
        const char *separator = "\n";

        for (size_t i = 0; i < l->n; i++)
                n[l->items[i].result]++;
        for (size_t i = 0; i < ARRAY_SIZE(n); i++)
                if (n[i] > 0) {
                        printf("%s%zu %s", separator, n[i], results[i]);
                        separator = ", ";
                }
        puts(!write && n[IMPORT_NEW] + n[IMPORT_DIFFERS] > 0 ? ". Nothing was changed: --write defines what is new." : ".");
}

static int tell(const Client *c, const LibvirtFiles *l, bool write) {
        static const char *const columns[] = { "KIND", "NAME", "RESULT", "AUTOSTART" }, *const keys[] = { "kind", "name", "result", "enabled" };
        json_auto_t *list = items_to_json(l);
        Client quiet = *c;
        json_t *row;
        size_t i;
        int r;

        if (c->json != JSON_OFF)
                return print_json(c, json_incref(list));
        if (l->n == 0) {
                printf("%s has no definitions.\n", l->config);
                return 0;
        }
        json_array_foreach(list, i, row)
                (void) json_object_set_new(row, "enabled", json_string(l->items[i].kind == LIBVIRT_SECRET ? "" : yes_no(l->items[i].autostart)));
        quiet.quiet = true;
        r = rows_print(&quiet, list, columns, keys, ARRAY_SIZE(columns), "object");
        for (i = 0; i < l->n; i++)
                tell_details(c, &l->items[i], write);
        if (!c->quiet)
                tell_sum(l, write);
        return r;
}

/* --- the verb --- */

static int check_named(const LibvirtFiles *l, int argc, char **argv) {
        for (int i = 0; i < argc; i++)
                if (!libvirt_files_has(l, argv[i])) {
                        (void) client_fail("libvirt has nothing called \"%s\" in %s", argv[i], l->config);
                        return NO_SUCH;
                }
        return 0;
}

static int handle(Client *c, const LibvirtFiles *l, LibvirtItem *item, bool write) {
        int r = item->result == IMPORT_REFUSED ? 0 : judge(c, item);

        if (r >= 0 && item->result != IMPORT_REFUSED && item->result != IMPORT_SAME)
                r = libvirt_files_warn(l, item);
        return r >= 0 && write ? import(c, l, item) : r;
}

static bool is_left(const LibvirtItem *item, bool write) {
        return item->result == IMPORT_REFUSED || item->result == IMPORT_FAILED || (write && item->result == IMPORT_DIFFERS);
}

int verb_import_libvirt(Client *c, int argc, char **argv) {
        _cleanup_libvirt_files_ LibvirtFiles l = {};
        bool write = option_given(c, "write", 0), failed = false;
        int r;

        if (c->host) {
                (void) client_fail("--host=%s: libvirt's files are read on this host; ssh %s virtctl import-libvirt", c->host, c->host);
                return USAGE;
        }
        r = libvirt_files_read(option_given(c, "from", 0), c->user, &l);
        if (r == 0)
                r = check_named(&l, argc, argv);
        if (r == 0 && argc > 0)
                libvirt_files_keep(&l, argv, (size_t) argc);
        for (size_t i = 0; r == 0 && i < l.n; i++) {
                if (handle(c, &l, &l.items[i], write) < 0)
                        return client_fail("out of memory");
                failed = failed || is_left(&l.items[i], write);
        }
        if (r == 0)
                r = tell(c, &l, write);
        return r != 0 ? r : failed ? FAILED : DONE;
}
