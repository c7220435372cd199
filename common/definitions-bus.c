/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "definitions-bus.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bus-error.h"
#include "mem.h"
#include "str.h"
#include "xml-write.h"

/* --- objects --- */

const char *defined_path(const DefinedBus *d, const void *object, char buffer[static DEFINED_PATH_MAX]) {
        char hex[SD_ID128_STRING_MAX];

        (void) snprintf(buffer, DEFINED_PATH_MAX, "%s/%s", d->folder, sd_id128_to_string(((const Defined *) object)->uuid, hex));
        return buffer;
}

int defined_find_path(const DefinedBus *d, const Definitions *s, const char *path, void **ret) {
        const char *rest = str_after(path, d->folder);
        sd_id128_t id;

        if (!s || !rest || rest[0] != '/' || strlen(rest + 1) != 32 || sd_id128_from_string(rest + 1, &id) < 0)
                return 0;
        *ret = registry_find_id(s->registry, id);
        return *ret != NULL;
}

int defined_list_paths(const DefinedBus *d, const Definitions *s, char ***ret) {
        _cleanup_strv_ char **paths = new0(char *, 1);
        char path[DEFINED_PATH_MAX];
        size_t count = 0;

        if (!paths)
                return -ENOMEM;
        if (s)
                REGISTRY_FOREACH(Defined, o, s->registry)
                        if (strv_push_nth(&paths, &count, defined_path(d, o, path)) < 0)
                                return -ENOMEM;
        *ret = TAKE_PTR(paths);
        return 0;
}

/* --- news --- */

void defined_tell_added(const DefinedBus *d, Bus *bus, const void *object) {
        char path[DEFINED_PATH_MAX];

        bus_added(bus, defined_path(d, object, path));
        (void) bus_emit(bus, d->root, d->manager, d->added, "so", ((const Defined *) object)->name, path);
}

void defined_tell_removed(const DefinedBus *d, Bus *bus, const void *object) {
        char path[DEFINED_PATH_MAX];

        bus_removed(bus, defined_path(d, object, path));
        (void) bus_emit(bus, d->root, d->manager, d->removed, "so", ((const Defined *) object)->name, path);
}

void defined_tell_changed(const DefinedBus *d, Bus *bus, const void *object, unsigned what) {
        char path[DEFINED_PATH_MAX];

        (void) defined_path(d, object, path);
        for (const struct DefinedProperty *p = d->properties; p->name; p++)
                if (p->changes & what)
                        bus_changed(bus, path, d->interface, p->name);
}

/* --- starting --- */

void defined_reply(_unused_ void *object, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, NULL);
}

int defined_begun(int r, sd_bus_message *m, const Fault *f, sd_bus_error *error) {
        if (r >= 0)
                return 1;
        sd_bus_message_unref(m);
        return fault_to_bus(f, r, error);
}

static int start(Defined *o, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        return defined_begun(o->all->kind->start(o, defined_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

int defined_start(void *object, sd_bus_message *m, sd_bus_error *error) {
        uint64_t flags;
        int r = bus_read_flags(m, 0, &flags, error);

        return r < 0 ? r : start(object, m, error);
}

int defined_read_named(Definitions *s, sd_bus_message *m, uint64_t known_flags, uint64_t *ret_flags, void **ret, Fault *f) {
        const char *name;
        int r;

        r = sd_bus_message_read(m, "st", &name, ret_flags);
        if (r < 0)
                return r;
        if (*ret_flags & ~known_flags)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "this method does not know the flags 0x%" PRIx64, *ret_flags & ~known_flags);
        *ret = definitions_find(s, name, f);
        return *ret ? 0 : -ENOENT;
}

int defined_start_named(Definitions *s, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        void *o;
        int r = defined_read_named(s, m, 0, &flags, &o, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : start(o, m, error);
}

/* --- methods of the Manager --- */

static int reply_path(const DefinedBus *d, const void *object, sd_bus_message *m) {
        char path[DEFINED_PATH_MAX];

        return sd_bus_reply_method_return(m, "o", object ? defined_path(d, object, path) : "/");
}

int defined_get(const DefinedBus *d, const Definitions *s, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const void *found;
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        found = definitions_find(s, name, &f);
        return found ? reply_path(d, found, m) : fault_to_bus(&f, -ENOENT, error);
}

int defined_get_by_uuid(const DefinedBus *d, const Definitions *s, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const void *found = NULL;
        sd_id128_t uuid;
        int r;

        r = bus_read_uuid(m, &uuid, &f);
        if (r >= 0) {
                found = registry_find_id(s->registry, uuid);
                if (!found)
                        r = fault_set(&f, s->kind->missing, ENOENT, "no %s has the uuid " SD_ID128_UUID_FORMAT_STR, s->kind->noun,
                                      SD_ID128_FORMAT_VAL(uuid));
        }
        return r < 0 ? fault_to_bus(&f, r, error) : reply_path(d, found, m);
}

int defined_define(const DefinedBus *d, Definitions *s, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *text;
        uint64_t flags;
        Defined *o;
        int r;

        r = bus_read_definition(m, &text, &f);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_VALIDATE_ONLY, &flags, NULL, 0, &f);
        if (r >= 0)
                r = definitions_define(s, text, strlen(text), flags & BUS_FLAG_VALIDATE_ONLY, NULL, &o, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : reply_path(d, o, m);
}

typedef struct Transient {
        const DefinedBus *bus;
        sd_bus_message *call;
} Transient;

static void on_transient_started(void *object, const Fault *why, void *userdata) {
        _cleanup_free_ Transient *t = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = t->call;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) reply_path(t->bus, object, m);
}

static int start_transient(const DefinedBus *d, Defined *o, sd_bus_message *m, Fault *f) {
        Transient *t = new0(Transient, 1);
        int r;

        if (!t)
                return fault_oom(f);
        *t = (Transient) { .bus = d, .call = sd_bus_message_ref(m) };
        r = o->all->kind->start(o, on_transient_started, t, f);
        if (r < 0) {
                sd_bus_message_unref(m);
                free(t);
        }
        return r;
}

int defined_start_transient(const DefinedBus *d, Definitions *s, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *text;
        uint64_t flags;
        Defined *o;
        int r;

        r = bus_read_definition(m, &text, &f);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = definitions_add_transient(s, text, strlen(text), &o, &f);
        if (r >= 0) {
                r = start_transient(d, o, m, &f);
                if (r < 0)
                        definitions_settle(o);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- methods of an object --- */

int defined_undefine(void *object, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = definitions_undefine(object, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

int defined_set_autostart(void *object, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int on, r;

        r = sd_bus_message_read(m, "b", &on);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = definitions_set_autostart(object, on, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int export_now(const Defined *o, int (*export_live)(const void *object, char **ret), char **ret) {
        return export_live ? export_live(o, ret) : xml_record_to_text(&(o->live ?: o->config)->head, XML_WRITE_LIVE, ret);
}

int defined_export(const void *object, int (*export_live)(const void *object, char **ret), sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        const Defined *o = object;
        const char *format;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "st", &format, &flags);
        if (r >= 0)
                r = bus_check_format(format, &f);
        if (r >= 0 && (flags & ~(BUS_FLAG_LIVE | BUS_FLAG_CONFIG)))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the flags are 1 (live) or 2 (config)");
        if (r >= 0 && (flags & BUS_FLAG_LIVE) && !o->live)
                r = fault_set(&f, FAULT_INVALID_STATE, EINVAL, "the %s %s is not active", o->all->kind->noun, o->name);
        if (r >= 0)
                r = (flags & BUS_FLAG_LIVE) || !o->persistent ? export_now(o, export_live, &text) : definitions_export(o, &text, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "s", text);
}
