/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "definitions.h"

#include <string.h>

#include "log.h"
#include "mem.h"
#include "str.h"
#include "xml-read.h"
#include "xml-write.h"

static Definition *definition_free(Definition *def) {
        return xml_definition_free(def);
}
DEFINE_CLEANUP(Definition *, definition_free)

/* Without its document. */
static int definition_copy(const Definition *def, Definition **ret, Fault *f) {
        return record_copy(&def->head, (void **) ret) < 0 ? fault_oom(f) : 0;
}

/* --- the set --- */

int definitions_init(Definitions *s, const DefinitionKind *kind, const char *config_dir, const char *run_dir, const DefinitionsWatch *watch, void *userdata) {
        _cleanup_free_ char *configs = strf("%s/%s", config_dir, kind->folder), *autostarts = strf("%s/%s/autostart", config_dir, kind->folder);
        _cleanup_free_ char *statuses = strf("%s/%s", run_dir, kind->status_folder);
        int r;

        s->kind = kind;
        s->watch = *watch;
        s->userdata = userdata;
        if (!configs || !autostarts || !statuses)
                return -ENOMEM;
        r = store_new(configs, ".xml", &s->configs);
        if (r >= 0)
                r = store_new(autostarts, ".xml", &s->autostarts);
        if (r >= 0)
                r = store_new(statuses, ".xml", &s->statuses);
        return r < 0 ? r : registry_new(&s->registry);
}

static void defined_free(Defined *o) {
        o->all->kind->clear(o);
        definition_free(o->config);
        definition_free(o->live);
        fault_clear(&o->broken);
        free(o->name);
        free(o);
}

static void drop(Defined *o) {
        registry_remove(o->all->registry, o->uuid);
        defined_free(o);
}

static void remove_object(Defined *o) {
        o->all->watch.removed(o, o->all->userdata);
        drop(o);
}

void definitions_clear(Definitions *s) {
        s->loading = true;
        if (s->registry)
                REGISTRY_FOREACH(Defined, o, s->registry)
                        drop(o);
        s->registry = registry_free(s->registry);
        s->configs = store_free(s->configs);
        s->autostarts = store_free(s->autostarts);
        s->statuses = store_free(s->statuses);
}

void *definitions_find(const Definitions *s, const char *name, Fault *f) {
        void *found = registry_find_name(s->registry, name);
        sd_id128_t id;

        if (!found && sd_id128_from_string(name, &id) >= 0)
                found = registry_find_id(s->registry, id);
        if (!found)
                fault_set(f, s->kind->missing, ENOENT, "no %s is called \"%.200s\"", s->kind->noun, name);
        return found;
}

/* Takes over `config`, also on failure. */
static int add(Definitions *s, const char *name, sd_id128_t uuid, Definition *config, bool persistent, Defined **ret, Fault *f) {
        Defined *o = calloc(1, s->kind->size);
        char *own = strdup(name);
        int r;

        if (!o || !own) {
                definition_free(config);
                free(own);
                free(o);
                return fault_oom(f);
        }
        *o = (Defined) { .all = s, .name = own, .uuid = uuid, .config = config, .persistent = persistent, .config_generation = 1 };
        if (s->kind->made)
                s->kind->made(o);
        r = registry_add(s->registry, name, uuid, o);
        if (r < 0) {
                defined_free(o);
                return r == -ENOMEM ? fault_oom(f) : fault_set(f, s->kind->exists, EEXIST, "a %s called \"%s\" exists already", s->kind->noun, name);
        }
        *ret = o;
        if (!s->loading)
                s->watch.added(o, s->userdata);
        return 0;
}

/* While its file can't be used it is known by a UUID of ours. */
static int reidentify(Defined *o, sd_id128_t uuid, Fault *f) {
        Definitions *s = o->all;
        int r;

        if (sd_id128_equal(o->uuid, uuid))
                return 0;
        if (!s->loading)
                s->watch.removed(o, s->userdata);
        registry_remove(s->registry, o->uuid);
        o->uuid = uuid;
        r = registry_add(s->registry, o->name, uuid, o);
        if (!s->loading)
                s->watch.added(o, s->userdata);
        return r < 0 ? fault_oom(f) : 0;
}

void definitions_changed(const void *object, unsigned what) {
        const Defined *o = object;

        if (!o->all->loading)
                o->all->watch.changed(o, what, o->all->userdata);
}

void definitions_settle(void *object) {
        Defined *o = object;

        if (!o->persistent && !o->live && !o->all->kind->is_busy(o))
                remove_object(o);
}

/* --- defining --- */

static int read_definition(Definitions *s, const char *text, size_t length, Definition **ret, Fault *f) {
        _cleanup_(definition_freep) Definition *def = NULL;
        const Defined *known;
        int r;

        r = s->kind->parse(text, length, &def, f);
        if (r < 0)
                return r;
        /* Without <uuid> a known name means the object that has it. */
        known = registry_find_name(s->registry, def->name);
        if (sd_id128_is_null(def->uuid) && known)
                def->uuid = known->uuid;
        r = s->kind->complete(s, def, known, f);
        if (r >= 0)
                *ret = TAKE_PTR(def);
        return r;
}

static int find_target(Definitions *s, const Definition *def, const void *expect, Defined **ret, Fault *f) {
        Defined *by_name = registry_find_name(s->registry, def->name), *by_uuid = registry_find_id(s->registry, def->uuid);
        const char *noun = s->kind->noun;

        if (by_name && fault_is_set(&by_name->broken) && !by_uuid)
                by_uuid = by_name; /* a new definition is how a broken one is mended */
        if (by_name && by_name != by_uuid)
                return fault_set(f, s->kind->exists, EEXIST, "the %s \"%s\" has another uuid", noun, def->name);
        if (!by_name && by_uuid)
                return fault_set(f, s->kind->exists, EEXIST, "the uuid of \"%s\" is another %s's", def->name, noun);
        if (expect && (const void *) by_uuid != expect)
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the definition is of another %s: name and uuid must stay", noun);
        *ret = by_uuid;
        return 0;
}

/* All that is to be right of a definition that comes from outside; and which object it is of. */
static int take_text(Definitions *s, const char *text, size_t length, const void *expect, Definition **ret, Defined **ret_target, Fault *f) {
        _cleanup_(definition_freep) Definition *def = NULL;
        int r;

        r = read_definition(s, text, length, &def, f);
        if (r >= 0)
                r = find_target(s, def, expect, ret_target, f);
        if (r >= 0)
                r = s->kind->check_others(s, def, f);
        if (r >= 0)
                *ret = TAKE_PTR(def);
        return r;
}

static int write_config(Definitions *s, Definition *def, Fault *f) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = xml_definition_to_text(def, XML_WRITE_SECRETS, &text, f);
        if (r < 0)
                return r;
        r = store_write(s->configs, def->name, text, strlen(text));
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the definition of %s can't be stored: %s", def->name, strerror(-r)) : 0;
}

static void config_changed(Defined *o, unsigned what) {
        if (fault_is_set(&o->broken))
                what |= DEFINED_CHANGED_STATE;
        fault_clear(&o->broken);
        o->config_generation++;
        definitions_changed(o, DEFINED_CHANGED_CONFIG | what);
}

/* Takes over `config`. */
static void replace_config(Defined *o, Definition *config) {
        definition_free(o->config);
        o->config = config;
        o->persistent = true;
        if (o->all->kind->redefined)
                o->all->kind->redefined(o);
        config_changed(o, 0);
}

int definitions_define(Definitions *s, const char *text, size_t length, bool validate_only, const void *expect, Defined **ret, Fault *f) {
        _cleanup_(definition_freep) Definition *def = NULL;
        Definition *kept;
        Defined *o = NULL;
        int r;

        assert(s && text);

        r = take_text(s, text, length, expect, &def, &o, f);
        if (r >= 0 && !validate_only && !o && registry_count(s->registry) >= s->kind->max)
                r = fault_set(f, FAULT_LIMIT, ENOSPC, "there are %u %ss already", s->kind->max, s->kind->noun);
        if (r >= 0 && !validate_only)
                r = write_config(s, def, f);
        if (r >= 0 && !validate_only && o)
                r = reidentify(o, def->uuid, f);
        if (r >= 0 && !validate_only)
                r = definition_copy(def, &kept, f);
        if (r < 0)
                return r;
        if (validate_only)
                o = NULL;
        else if (o)
                replace_config(o, kept);
        else
                r = add(s, def->name, def->uuid, kept, true, &o, f);
        if (r >= 0 && ret)
                *ret = o;
        return r;
}

int definitions_read_for(void *object, const char *text, size_t length, Definition **ret, Fault *f) {
        _cleanup_(definition_freep) Definition *def = NULL;
        Defined *o = object;
        int r = take_text(o->all, text, length, o, &def, &o, f);

        return r < 0 ? r : definition_copy(def, ret, f);
}

int definitions_add_transient(Definitions *s, const char *text, size_t length, Defined **ret, Fault *f) {
        _cleanup_(definition_freep) Definition *def = NULL;
        Definition *kept;
        Defined *o = NULL;
        int r;

        r = take_text(s, text, length, NULL, &def, &o, f);
        if (r >= 0 && o)
                r = fault_set(f, s->kind->exists, EEXIST, "a %s called \"%s\" exists already", s->kind->noun, o->name);
        if (r >= 0)
                r = definition_copy(def, &kept, f);
        return r < 0 ? r : add(s, def->name, def->uuid, kept, false, ret, f);
}

static void forget_config(Defined *o) {
        o->persistent = o->autostart = false;
        config_changed(o, DEFINED_CHANGED_AUTOSTART);
        definitions_settle(o);
}

int definitions_undefine(void *object, Fault *f) {
        Defined *o = object;
        Definitions *s = o->all;
        int r;

        if (!o->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the %s %s is transient: stop it", s->kind->noun, o->name);
        r = store_remove(s->configs, o->name);
        if (r >= 0)
                r = store_remove(s->autostarts, o->name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the definition of %s can't be removed: %s", o->name, strerror(-r));
        forget_config(o);
        return 0;
}

static void note_autostart(Defined *o, bool on) {
        o->autostart = on;
        definitions_changed(o, DEFINED_CHANGED_AUTOSTART);
}

int definitions_set_autostart(void *object, bool on, Fault *f) {
        Defined *o = object;
        Definitions *s = o->all;
        int r;

        if (!o->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the %s %s has no persistent definition", s->kind->noun, o->name);
        r = on ? store_write(s->autostarts, o->name, "", 0) : store_remove(s->autostarts, o->name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "that can't be noted: %s", strerror(-r));
        note_autostart(o, on);
        return 0;
}

int definitions_export(const void *object, char **ret, Fault *f) {
        const Defined *o = object;
        size_t length;
        int r;

        if (!o->persistent)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "the %s %s has no persistent definition", o->all->kind->noun, o->name);
        r = store_read(o->all->configs, o->name, ret, &length);
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "the definition of %s can't be read: %s", o->name, strerror(-r)) : 0;
}

/* --- what is active --- */

static int write_status(const Defined *o) {
        _cleanup_free_ char *text = NULL, *status = NULL;
        int r = xml_record_to_text(&o->live->head, XML_WRITE_LIVE, &text);

        if (r < 0)
                return r;
        status = strf("%s%s", o->all->kind->note ? o->all->kind->note(o) : "", text);
        return status ? store_write(o->all->statuses, o->name, status, strlen(status)) : -ENOMEM;
}

int definitions_save(void *object) {
        Defined *o = object;
        int r = o->live ? write_status(o) : store_remove(o->all->statuses, o->name);

        return r < 0 ? log_warning_errno(r, "%s %s: its run state can't be kept: %m", o->all->kind->noun, o->name) : 0;
}

/* --- loading --- */

static int take_up(Definitions *s, const char *name, const Definition *def, Fault *f) {
        Definition *config;
        Defined *o;
        int r = definition_copy(def, &config, f);

        return r < 0 ? r : add(s, name, def->uuid, config, true, &o, f);
}

/* It is there, with what is wrong with it, until it is mended or undefined. */
static void take_broken(Definitions *s, const char *name, Fault *f) {
        sd_id128_t uuid;
        Defined *o;

        (void) sd_id128_randomize(&uuid);
        if (add(s, name, uuid, NULL, true, &o, NULL) < 0)
                return;
        log_error("the definition of the %s %s can't be used: %s", s->kind->noun, name, fault_text(f));
        fault_move(&o->broken, f);
}

static int on_config(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(definition_freep) Definition *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Definitions *s = userdata;
        int r = error;

        if (r >= 0)
                r = read_definition(s, text, length, &def, &f);
        if (r >= 0 && !streq(def->name, name))
                r = fault_set(&f, FAULT_INVALID_DEFINITION, EINVAL, "it says that its name is \"%s\"", def->name);
        if (r < 0 && !fault_is_set(&f))
                fault_set(&f, FAULT_STORE, -r, "its file can't be read: %s", strerror(-r));
        if (r < 0)
                take_broken(s, name, &f);
        else if (take_up(s, name, def, &f) < 0)
                log_error("the %s %s can't be taken up: %s", s->kind->noun, name, fault_text(&f));
        return 0;
}

static int on_autostart(const char *name, _unused_ const char *text, _unused_ size_t length, _unused_ int error, void *userdata) {
        Defined *o = registry_find_name(((Definitions *) userdata)->registry, name);

        if (o)
                o->autostart = true;
        return 0;
}

/* One that is not defined was transient; one whose file has been spoilt meanwhile is active all the same. */
static int find_active(Definitions *s, const Definition *def, Defined **ret, Fault *f) {
        Definition *config;
        int r;

        *ret = registry_find_id(s->registry, def->uuid);
        if (*ret)
                return 0;
        *ret = registry_find_name(s->registry, def->name);
        if (*ret && fault_is_set(&(*ret)->broken))
                return reidentify(*ret, def->uuid, f);
        r = definition_copy(def, &config, f);
        return r < 0 ? r : add(s, def->name, def->uuid, config, false, ret, f);
}

static int on_status(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(definition_freep) Definition *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Definitions *s = userdata;
        Definition *live;
        Defined *o;
        int r = error;

        if (r >= 0)
                r = s->kind->parse(text, length, &def, &f);
        if (r >= 0)
                r = find_active(s, def, &o, &f);
        if (r >= 0)
                r = definition_copy(def, &live, &f);
        if (r >= 0)
                r = s->kind->adopt(o, live, text, &f);
        if (r < 0)
                log_error("the %s %s, which was active, can't be taken up: %s", s->kind->noun, name, fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

int definitions_load(Definitions *s) {
        int r;

        assert(s);

        s->loading = true;
        r = store_scan(s->configs, on_config, s);
        if (r >= 0)
                r = store_scan(s->autostarts, on_autostart, s);
        return r < 0 ? r : store_scan(s->statuses, on_status, s);
}

static void on_autostarted(void *object, const Fault *why, _unused_ void *userdata) {
        const Defined *o = object;

        if (why && why->kind != FAULT_CANCELED) /* that we end is none of its faults */
                log_error("the %s %s can't be started: %s", o->all->kind->noun, o->name, fault_text(why));
}

void definitions_autostart(Definitions *s) {
        REGISTRY_FOREACH(Defined, o, s->registry) {
                _cleanup_fault_ Fault f = FAULT_INIT;

                if (o->autostart && !o->live && !fault_is_set(&o->broken) && s->kind->start(o, on_autostarted, NULL, &f) < 0)
                        on_autostarted(o, &f, NULL);
        }
        s->loading = false;
}

/* --- loading again --- */

static int take_again(Defined *o, const Definition *def, Fault *f) {
        Definition *config;
        int r;

        if (!streq(def->name, o->name) || !sd_id128_equal(def->uuid, o->uuid))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "it says another name or uuid than the %s has", o->all->kind->noun);
        if (o->persistent && o->config && record_equal(&o->config->head, &def->head))
                return 0;
        r = o->all->kind->check_others(o->all, def, f);
        if (r >= 0)
                r = definition_copy(def, &config, f);
        if (r >= 0)
                replace_config(o, config);
        return r;
}

static int on_config_again(const char *name, const char *text, size_t length, int error, void *userdata) {
        _cleanup_(definition_freep) Definition *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Definitions *s = userdata;
        Defined *o = registry_find_name(s->registry, name);
        int r = error;

        if (o && fault_is_set(&o->broken) && !o->live && !s->kind->is_busy(o)) {
                remove_object(o);
                o = NULL;
        }
        if (!o)
                return on_config(name, text, length, error, s);
        if (r >= 0)
                r = read_definition(s, text, length, &def, &f);
        if (r >= 0)
                r = take_again(o, def, &f);
        if (r < 0)
                log_error("the %s %s stays as it was, its definition can't be used: %s", s->kind->noun, name,
                          fault_is_set(&f) ? fault_text(&f) : strerror(-r));
        return 0;
}

int definitions_reload(Definitions *s) {
        int r;

        assert(s);

        REGISTRY_FOREACH(Defined, o, s->registry)
                if (o->persistent && !store_exists(s->configs, o->name))
                        forget_config(o);
        r = store_scan(s->configs, on_config_again, s);
        REGISTRY_FOREACH(Defined, o, s->registry) {
                bool on = o->persistent && store_exists(s->autostarts, o->name);

                if (on != o->autostart)
                        note_autostart(o, on);
        }
        return r < 0 ? log_error_errno(r, "the definitions can't be read again: %m") : 0;
}
