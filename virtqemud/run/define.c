/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "define.h"

#include "../device/graphics.h"
#include "../device/tpm.h"
#include "autostart.h"
#include "emulators.h"
#include "firmware-files.h"
#include "instance.h"
#include "mem.h"
#include "operation.h"
#include "str.h"
#include "xml-write.h"

/* One definition on its way: parsed, waiting for the capabilities of its QEMU. */
struct Defining {
        Manager *manager;
        DomainDef *def;
        unsigned flags;
        char *expect_uuid;           /* set: must still be that domain */
        uint64_t if_generation;
        bool listed;                 /* the emulator must be an installed one */
        CapsWait *caps;
        DefineDone done;
        ConvertDone converted;
        void *userdata;
        Defining *next;
};

static Defining *defining_free(Defining *g) {
        Defining **p;

        if (!g)
                return NULL;
        for (p = &g->manager->defining; *p && *p != g; p = &(*p)->next)
                ;
        if (*p)
                *p = g->next;
        domain_def_free(g->def);
        caps_wait_free(g->caps);
        free(g->expect_uuid);
        free(g);
        return NULL;
}
DEFINE_CLEANUP(Defining *, defining_free)

void define_cancel(Manager *m, const void *userdata) {
        for (Defining *g = m->defining, *next; g; g = next) {
                next = g->next;
                if (g->userdata == userdata)
                        defining_free(g);
        }
}

static void defining_finish(Defining *g, Domain *d, const char *text, int error, const Fault *f) {
        if (g->converted)
                g->converted(text, error, f, g->userdata);
        else
                g->done(d, error, f, g->userdata);
        defining_free(g);
}

/* Who waits has something to free. */
void define_clear(Manager *m) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_CANCELED, ECANCELED, "virtqemud ends");
        while (m->defining)
                defining_finish(m->defining, NULL, NULL, -ECANCELED, &f);
}

/* A name belongs to one uuid and the other way round; a definition that has both right changes that domain. */
static int find_target(Defining *g, Domain **ret, Fault *f) {
        Manager *m = g->manager;
        Domain *by_name = manager_find_name(m, g->def->name), *by_uuid = manager_find_uuid(m, g->def->uuid);

        if (by_name && by_name->state == DOMAIN_BROKEN && !by_uuid) {
                *ret = by_name; /* a new definition is how a broken one is mended */
                return 0;
        }
        if (by_name && by_name != by_uuid) {
                fault_set(f, FAULT_DOMAIN_EXISTS, EEXIST, "a domain called \"%s\" exists already, with uuid %s", by_name->name,
                          by_name->uuid_string);
                fault_hint(f, "take another name, or give that uuid to change that domain");
                return -EEXIST;
        }
        if (by_uuid && !by_name) {
                fault_set(f, FAULT_DOMAIN_EXISTS, EEXIST, "the uuid %s belongs to the domain \"%s\"", by_uuid->uuid_string,
                          by_uuid->name);
                fault_hint(f, "leave <uuid> out to get a new one; Rename() changes a name");
                return -EEXIST;
        }
        *ret = by_uuid;
        return 0;
}

static int check_target(const Defining *g, const Domain *d, Fault *f) {
        if (d && (g->flags & DEFINE_NEW_ONLY))
                return fault_set(f, FAULT_DOMAIN_EXISTS, EEXIST, "a domain called \"%s\" exists already", d->name);
        if (g->expect_uuid && (!d || !streq(d->uuid_string, g->expect_uuid)))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL,
                                 "the definition is of another domain: name and uuid must stay \"%s\" and %s",
                                 g->def->name, g->expect_uuid);
        if (d && g->if_generation != 0 && g->if_generation != d->config_generation) {
                fault_set(f, FAULT_INVALID_STATE, ESTALE, "%s was changed meanwhile: its generation is %" PRIu64 ", not %" PRIu64,
                          d->name, d->config_generation, g->if_generation);
                fault_hint(f, "read the definition again and repeat the change on it");
                return -ESTALE;
        }
        return 0;
}

static int write_config(Manager *m, DomainDef *def, Fault *f) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = domain_format(def, XML_WRITE_SECRETS, &text, f);
        if (r < 0)
                return r;
        r = store_write(m->configs, def->name, text, strlen(text));
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "can't store the definition of %s in %s: %s", def->name, m->dirs.config,
                                 strerror(-r));
        return 0;
}

static const Graphics *find_display(const DomainDef *def, int type) {
        DEVICE_FOREACH(Graphics, g, def, DEVICE_GRAPHICS)
                if (g->type == type)
                        return g;
        return NULL;
}

/* There is one display of a type at most. */
static int keep_secrets(DomainDef *def, const DomainDef *before, Fault *f) {
        DEVICE_FOREACH(Graphics, g, def, DEVICE_GRAPHICS) {
                const Graphics *old = g->password ? NULL : find_display(before, g->type);

                if (old && old->password && free_and_strdup(&g->password, old->password) < 0)
                        return fault_oom(f);
        }
        return 0;
}

/* A broken domain got a definition that can be used: it becomes what that says. */
static int mend_broken(Domain *d) {
        int r;

        if (d->state != DOMAIN_BROKEN)
                return 0;
        fault_clear(&d->broken);
        domain_set_error(d, NULL);
        r = manager_reidentify(d->manager, d, d->config->uuid);
        domain_set_state(d, DOMAIN_SHUTOFF, REASON_UNKNOWN);
        return r;
}

/* Disk first, memory after: a failure leaves both as they were. */
static int commit(Defining *g, Domain *d, Domain **ret, Fault *f) {
        Manager *m = g->manager;
        int r;

        if (!d && registry_count(m->domains) >= DOMAINS_MAX)
                return fault_set(f, FAULT_LIMIT, ENOSPC, "there are %u domains already", DOMAINS_MAX);
        r = write_config(m, g->def, f);
        if (r >= 0)
                r = domain_drop_document(&g->def);
        if (r < 0)
                return r;

        if (!d) {
                const char *name = g->def->name;
                sd_id128_t uuid = g->def->uuid;

                r = domain_new(m, name, uuid, TAKE_PTR(g->def), ret);
                if (r >= 0)
                        autostart_look(*ret); /* its unit may be enabled already */
                return r;
        }
        domain_def_free(d->config);
        d->config = TAKE_PTR(g->def);
        d->config_generation++;
        r = mend_broken(d);
        domain_changed(d, DOMAIN_CHANGED_CONFIG);
        *ret = d;
        return r;
}

static void complete(Defining *g, const QemuCaps *caps) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        Domain *d = NULL;
        int r;

        r = domain_expand_machine(g->def, caps, &f);
        if (r >= 0)
                r = firmware_files_choose(g->manager, g->def, &f);
        if (r >= 0)
                r = domain_check(g->def, caps, &g->manager->defaults, &f);
        if (r >= 0 && g->converted) {
                r = domain_format(g->def, 0, &text, &f);
                defining_finish(g, NULL, text, r, &f);
                return;
        }
        if (r >= 0)
                r = find_target(g, &d, &f);
        if (r >= 0)
                r = check_target(g, d, &f);
        if (r >= 0 && (g->flags & DEFINE_KEEP_SECRETS) && d && d->config)
                r = keep_secrets(g->def, d->config, &f);
        if (r >= 0 && (g->flags & DEFINE_VALIDATE_ONLY))
                d = NULL;
        else if (r >= 0)
                r = commit(g, d, &d, &f);
        defining_finish(g, r < 0 ? NULL : d, NULL, r, &f);
}

static void on_caps(CapsStore *store, const char *binary, QemuCaps *caps, const Fault *f, void *userdata) {
        Defining *g = userdata;

        g->caps = caps_wait_free(g->caps);
        if (caps)
                complete(g, caps);
        else
                defining_finish(g, NULL, NULL, -f->error, f);
}

/* A text that becomes a persistent definition. */
static int read_text(Manager *m, const char *text, size_t length, DomainDef **ret, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        int r;

        r = domain_parse(text, length, &def, f);
        if (r < 0)
                return r;
        domain_drop_live(def);
        r = manager_keep_identity(m, def);
        if (r >= 0)
                r = domain_fill(def, &m->defaults, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(def);
        return 0;
}

static int check_emulator(const Manager *m, const DomainDef *def, Fault *f) {
        _cleanup_strv_ char **installed = NULL;
        int r;

        if (streq_null(def->emulator, m->defaults.emulator))
                return 0;
        r = emulators_list(m, &installed);
        if (r < 0)
                return fault_oom(f);
        if (strv_contains(installed, def->emulator))
                return 0;
        return fault_set(f, FAULT_ACCESS_DENIED, EACCES, "%s is none of the emulators of this host", def->emulator);
}

static int begin(Manager *m, const char *text, size_t length, Defining *given, Fault *f) {
        _cleanup_(defining_freep) Defining *g = given;
        int r;

        g->manager = m;
        g->next = m->defining;
        m->defining = g;
        r = read_text(m, text, length, &g->def, f);
        if (r >= 0 && g->listed)
                r = check_emulator(m, g->def, f);
        if (r < 0)
                return r;
        /* From here on it belongs to on_caps(), which may run within. */
        r = caps_store_get(m->caps, g->def->emulator, on_caps, g, &g->caps);
        if (r >= 0)
                g = NULL;
        return r;
}

int define_domain(Manager *m, const char *text, size_t length, unsigned flags, Domain *expect, uint64_t if_generation,
                  DefineDone done, void *userdata, Fault *f) {
        Defining *g;

        assert(m && text && done);

        g = new0(Defining, 1);
        if (!g)
                return fault_oom(f);
        *g = (Defining) { .flags = flags, .if_generation = if_generation, .done = done, .userdata = userdata };
        if (expect && free_and_strdup(&g->expect_uuid, expect->uuid_string) < 0) {
                free(g);
                return fault_oom(f);
        }
        return begin(m, text, length, g, f);
}

int define_convert(Manager *m, const char *text, size_t length, bool any_program, ConvertDone done, void *userdata, Fault *f) {
        Defining *g;

        assert(m && text && done);

        g = new0(Defining, 1);
        if (!g)
                return fault_oom(f);
        *g = (Defining) { .listed = !any_program, .converted = done, .userdata = userdata };
        return begin(m, text, length, g, f);
}

int define_undefine(Domain *d, Fault *f) {
        Manager *m;
        int r;

        assert(d);

        m = d->manager;
        if (!d->config && d->state != DOMAIN_BROKEN)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is transient: it has no definition to remove", d->name);
        r = store_remove(m->configs, d->name);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "can't remove the definition of %s: %s", d->name, strerror(-r));

        autostart_forget(d);
        d->keeps_state = !d->config || domain_keeps_tpm(d->config);
        d->config = domain_def_free(d->config);
        d->config_generation++;
        if (d->state == DOMAIN_BROKEN)
                domain_set_state(d, DOMAIN_SHUTOFF, REASON_UNKNOWN);
        if (!domain_is_over(d)) /* of one that goes now nobody needs to hear what becomes of its properties */
                domain_changed(d, DOMAIN_CHANGED_CONFIG);
        domain_settle(d); /* an active one stays, transient, until it ends */
        return 0;
}

/* The definition with its document: what people wrote around it is in the file alone. Should that say something else than we know, or
 * nothing that can be read, then what we know is all there is. */
static int read_back(const Domain *d, DomainDef **ret) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        _cleanup_free_ char *text = NULL;
        size_t length;

        if (store_read(d->manager->configs, d->name, &text, &length) >= 0 && domain_parse(text, length, &def, NULL) >= 0 &&
            domain_fill(def, &d->manager->defaults, NULL) >= 0 && record_equal(&def->head, &d->config->head)) {
                *ret = TAKE_PTR(def);
                return 0;
        }
        return domain_copy(d->config, ret);
}

int define_export(const Domain *d, unsigned xml_write_flags, char **ret, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        int r;

        assert(d && d->config && ret);

        r = read_back(d, &def);
        return r < 0 ? fault_oom(f) : domain_format(def, xml_write_flags, ret, f);
}

/* The definition's text carries the name, the file is called by it: the new file is written before the old one goes. A crash in between
 * leaves two files of one uuid, of which define_load() keeps the one whose text has the file's name. */
int define_rename(Domain *d, const char *name, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        _cleanup_free_ char *old = NULL, *fresh = NULL;
        Manager *m;
        int r;

        assert(d && name);

        m = d->manager;
        r = domain_name_check(name, f);
        if (r < 0)
                return r;
        if (!d->config)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s has no persistent definition", d->name);
        if (domain_state_is_active(d->state) || d->operation) {
                fault_set(f, FAULT_INVALID_STATE, EBUSY, "%s is %s: only a domain that is off can be renamed", d->name,
                          domain_state_to_string(d->state));
                fault_hint(f, "shut it down first");
                return -EBUSY;
        }
        if (manager_find_name(m, name))
                return fault_set(f, FAULT_DOMAIN_EXISTS, EEXIST, "a domain called \"%s\" exists already", name);

        r = read_back(d, &def);
        if (r >= 0)
                r = free_and_strdup(&def->name, name);
        fresh = strdup(name);
        if (r < 0 || !fresh)
                return fault_oom(f);
        r = write_config(m, def, f);
        if (r >= 0)
                r = domain_drop_document(&def);
        if (r < 0)
                return r;
        old = d->config->name;
        d->config->name = NULL;
        domain_def_free(d->config);
        d->config = TAKE_PTR(def);
        (void) store_remove(m->configs, old);
        autostart_forget(d);
        r = manager_relink(m, d, TAKE_PTR(fresh));
        d->config_generation++;
        domain_changed(d, DOMAIN_CHANGED_CONFIG);
        return r;
}

static int make_broken(Manager *m, const char *name, const Fault *f) {
        sd_id128_t uuid;
        Domain *d;
        int r;

        log_error("definition %s can't be used and is left as it is: %s", name, fault_text(f));
        r = sd_id128_randomize(&uuid);
        if (r >= 0)
                r = domain_new(m, name, uuid, NULL, &d);
        if (r < 0)
                return r;
        (void) fault_copy(&d->broken, f);
        (void) fault_copy(&d->last_error, f);
        domain_set_state(d, DOMAIN_BROKEN, REASON_DEFINITION);
        return 0;
}

static int parse_file(Manager *m, const char *name, const char *text, size_t length, DomainDef **ret, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        int r;

        r = domain_parse(text, length, &def, f);
        if (r < 0)
                return r;
        if (!streq(def->name, name))
                return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the file is called %s but defines \"%s\"", name, def->name);
        r = domain_fill(def, &m->defaults, f);
        if (r >= 0)
                r = domain_drop_document(&def);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(def);
        return 0;
}

int define_load(Manager *m, const char *name, const char *text, size_t length) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        sd_id128_t uuid;
        int r;

        assert(m && name && text);

        r = parse_file(m, name, text, length, &def, &f);
        if (r >= 0 && manager_find_uuid(m, def->uuid))
                r = fault_set(&f, FAULT_DOMAIN_EXISTS, EEXIST, "its uuid belongs to the domain \"%s\"",
                              manager_find_uuid(m, def->uuid)->name);
        if (r < 0)
                return make_broken(m, name, &f);
        uuid = def->uuid;
        return domain_new(m, name, uuid, TAKE_PTR(def), NULL);
}

int define_unreadable(Manager *m, const char *name, int error) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_STORE, -error, "the file can't be read: %s", strerror(-error));
        return make_broken(m, name, &f);
}

int define_reload(Domain *d, const char *text, size_t length) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Manager *m = d->manager;
        int r;

        r = parse_file(m, d->name, text, length, &def, &f);
        if (r >= 0 && d->config && record_equal(&def->head, &d->config->head))
                return 0;
        if (r >= 0 && d->config && !sd_id128_equal(def->uuid, d->uuid))
                r = fault_set(&f, FAULT_INVALID_DEFINITION, EINVAL, "its uuid has changed; undefine the domain to give it another one");
        if (r < 0) {
                /* The one in memory is good: it stays until the file is mended. */
                domain_set_error(d, &f);
                return 0;
        }
        domain_def_free(d->config);
        d->config = TAKE_PTR(def);
        d->config_generation++;
        r = mend_broken(d);
        domain_changed(d, DOMAIN_CHANGED_CONFIG);
        return r;
}

void define_forget(Domain *d) {
        assert(d);

        log_domain_notice(d, "its definition has been removed from the folder");
        d->keeps_state = true;
        d->config = domain_def_free(d->config);
        d->config_generation++;
        if (d->state == DOMAIN_BROKEN)
                domain_set_state(d, DOMAIN_SHUTOFF, REASON_UNKNOWN);
        domain_changed(d, DOMAIN_CHANGED_CONFIG);
        domain_settle(d);
}

int define_transient(Manager *m, const char *text, size_t length, Domain **ret, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL, *live = NULL;
        Domain *d;
        int r;

        assert(m && text && ret);

        r = read_text(m, text, length, &def, f);
        if (r < 0)
                return r;
        if (manager_find_name(m, def->name))
                return fault_set(f, FAULT_DOMAIN_EXISTS, EEXIST, "a domain called \"%s\" exists already", def->name);
        if (manager_find_uuid(m, def->uuid))
                return fault_set(f, FAULT_DOMAIN_EXISTS, EEXIST, "the uuid belongs to the domain \"%s\"",
                                 manager_find_uuid(m, def->uuid)->name);
        if (registry_count(m->domains) >= DOMAINS_MAX)
                return fault_set(f, FAULT_LIMIT, ENOSPC, "there are %u domains already", DOMAINS_MAX);
        r = domain_make_live(def, 0, &m->defaults, &live);
        if (r >= 0)
                r = domain_new(m, def->name, def->uuid, NULL, &d);
        if (r < 0)
                return r;
        d->live = TAKE_PTR(live);
        *ret = d;
        return 0;
}
