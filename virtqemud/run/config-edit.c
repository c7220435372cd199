/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config-edit.h"

#include <string.h>

#include "../device/device.h"
#include "../plan/hotplug.h"
#include "mem.h"
#include "str.h"
#include "xml-write.h"

struct ConfigEdit {
        Domain *domain;
        char *before, *after;
        uint64_t generation;         /* of the definition that this is a change of */
        bool stored;
        Operation *operation;        /* whose step waits */
};

ConfigEdit *config_edit_free(ConfigEdit *e) {
        if (!e)
                return NULL;
        define_cancel(e->domain->manager, e);
        free(e->before);
        free(e->after);
        free(e);
        return NULL;
}

static int make_text(const Domain *d, const char *before, ConfigEditFunc edit, void *userdata, char **ret, Fault *f) {
        _cleanup_(domain_def_freep) DomainDef *def = NULL;
        int r = domain_parse(before, strlen(before), &def, f);

        if (r >= 0)
                r = domain_fill(def, &d->manager->defaults, f);
        if (r >= 0)
                r = edit(def, userdata, f);
        if (r >= 0)
                r = domain_fill(def, &d->manager->defaults, f);
        if (r >= 0)
                r = domain_check(def, NULL, &d->manager->defaults, f);
        return r < 0 ? r : domain_format(def, XML_WRITE_SECRETS, ret, f);
}

int config_edit_new(Domain *d, ConfigEditFunc edit, void *edit_userdata, ConfigEdit **ret, Fault *f) {
        _cleanup_(config_edit_freep) ConfigEdit *e = NULL;
        int r;

        assert(d && edit && ret);

        if (!d->config)
                return fault_set(f, FAULT_INVALID_STATE, EINVAL, "%s is transient: it has only its live definition", d->name);
        e = new0(ConfigEdit, 1);
        if (!e)
                return fault_oom(f);
        e->domain = d;
        e->generation = d->config_generation;
        r = define_export(d, XML_WRITE_SECRETS, &e->before, f);
        if (r >= 0)
                r = make_text(d, e->before, edit, edit_userdata, &e->after, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

const char *config_edit_before(const ConfigEdit *e) {
        return e ? e->before : NULL;
}

Device *config_edit_find(const Domain *d, const DomainDef *def, const char *id) {
        const Device *device;

        assert(d && id);

        device = domain_device_by_id(d->live, id) ?: domain_device_by_id(d->config, id);
        return device ? domain_find_same(def, device) : NULL;
}

int config_edit_apply(Domain *d, ConfigEditFunc edit, void *edit_userdata, DefineDone done, void *userdata, Fault *f) {
        _cleanup_(config_edit_freep) ConfigEdit *e = NULL;
        int r = config_edit_new(d, edit, edit_userdata, &e, f);

        return r < 0 ? r : define_domain(d->manager, e->after, strlen(e->after), 0, d, e->generation, done, userdata, f);
}

static void on_stored(Domain *d, int error, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        ConfigEdit *e = userdata;

        e->stored = error >= 0;
        if (error < 0)
                (void) fault_copy(&f, why);
        else
                e->generation = d->config_generation;
        steps_continue(e->operation->steps, error < 0 ? error : 0, &f);
}

/* Who has defined it anew meanwhile has not asked for what could not be done: there is nothing to put back then. */
static void on_restored(Domain *d, int error, const Fault *why, void *userdata) {
        ConfigEdit *e = userdata;

        if (error < 0 && error != -ESTALE)
                (void) domain_warn(e->domain, "its definition says what could not be done: %s", fault_text(why));
        steps_continue(e->operation->steps, 0, NULL);
}

static int store(ConfigEdit *e, Operation *o, const char *text, DefineDone done, Fault *f) {
        e->operation = o;
        return define_domain(e->domain->manager, text, strlen(text), 0, e->domain, e->generation, done, e, f);
}

int config_edit_store(ConfigEdit *e, Operation *o, Fault *f) {
        int r;

        assert(o);

        if (!e)
                return 1;
        r = store(e, o, e->after, on_stored, f);
        return MIN(r, 0);
}

int config_edit_restore(ConfigEdit *e, Operation *o) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert(o);

        if (!e || !TAKE(e->stored, false))
                return 1;
        if (store(e, o, e->before, on_restored, &f) >= 0)
                return 0;
        (void) domain_warn(e->domain, "its definition says what could not be done: %s", fault_text(&f));
        return 1;
}
