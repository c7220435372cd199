/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit-limits.h"

#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "../device/audio.h"
#include "../device/gl.h"
#include "../plan/tune.h"
#include "manager.h"
#include "mem.h"
#include "str.h"

static int append_pairs(sd_bus_message *m, const UnitProperty *p) {
        int r = sd_bus_message_open_container(m, 'v', "a(st)");

        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(st)");
        for (size_t i = 0; i < p->n_pairs && r >= 0; i++)
                r = sd_bus_message_append(m, "(st)", p->pairs[i].path, p->pairs[i].value);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_device(sd_bus_message *m, const UnitProperty *p) {
        return p->device ? sd_bus_message_append(m, "v", "a(ss)", 1, p->device, "rw") : sd_bus_message_append(m, "v", "a(ss)", 0);
}

static int append(sd_bus_message *m, const UnitProperty *p) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", p->name);
        if (r >= 0 && p->set) {
                r = sd_bus_message_open_container(m, 'v', "ay");
                if (r >= 0)
                        r = sd_bus_message_append_array(m, 'y', p->set, p->n_set);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        } else if (r >= 0 && p->is_pairs)
                r = append_pairs(m, p);
        else if (r >= 0 && p->is_device)
                r = append_device(m, p);
        else if (r >= 0)
                r = sd_bus_message_append(m, "v", "t", p->value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* --- what was said of a run that is over, to be taken back --- */

struct LimitsReset {
        Manager *manager;
        char *unit;
        UnitProperties properties;
        UnitCall *call;
        LIST_ENTRY(LimitsReset) link;
};

static void reset_free(LimitsReset *r) {
        LIST_REMOVE(r, link);
        unit_call_free(r->call);
        unit_properties_clear(&r->properties);
        free(r->unit);
        free(r);
}

void limits_clear(Manager *m) {
        while (!LIST_EMPTY(&m->limits_resets))
                reset_free(LIST_FIRST(&m->limits_resets));
}

static LimitsReset *find_reset(const Domain *d) {
        LimitsReset *r;

        LIST_FOREACH(r, &d->manager->limits_resets, link)
                if (streq(r->unit, d->unit))
                        return r;
        return NULL;
}

static void on_reset(const Fault *f, void *userdata) {
        LimitsReset *r = userdata;

        if (f)
                log_warning("the limits of the last run are still there: %s", fault_text(f));
        reset_free(r);
}

/* --- telling --- */

typedef struct Telling {
        const UnitProperties *before, *now;
} Telling;

static int fill(sd_bus_message *m, void *userdata) {
        const Telling *t = userdata;
        int r = sd_bus_message_open_container(m, 'a', "(sv)");

        for (size_t i = 0; t->before && i < t->before->n && r >= 0; i++)
                r = append(m, &t->before->items[i]);
        for (size_t i = 0; i < t->now->n && r >= 0; i++)
                r = append(m, &t->now->items[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* For this run only: a definition that says something else later is not to find what was said before. What is still to be taken back goes
 * along: said again on its own it could come later. */
static int tell(Domain *d, const UnitProperties *p, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        LimitsReset *reset = find_reset(d);
        Telling t = { reset ? &reset->properties : NULL, p };
        int r = unit_set_properties(d->manager->bus, d->unit, "set the limits of", fill, &t, done, userdata, ret);

        if (reset)
                reset_free(reset);
        return r < 0 ? fault_set(f, FAULT_UNIT, -r, "systemd can't be told the limits of %s: %s", d->unit, strerror(-r)) : 0;
}

int limits_apply(Domain *d, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        _cleanup_unit_properties_ UnitProperties p = {};
        int r = tune_properties(d->live, false, &p);

        if (r < 0)
                return fault_oom(f);
        if (p.n == 0)
                return 1;
        if (!d->manager->by_unit || !d->manager->bus || !d->unit) {
                (void) domain_warn(d, "its limits are not kept: they are systemd's to keep, and it is not run as a unit");
                return 1;
        }
        return tell(d, &p, done, userdata, ret, f);
}

/* A class of devices has no file; but one without a card would do nothing. We need not be allowed to use them ourselves. */
static bool is_there(const char *device) {
        _cleanup_(globfree) glob_t found = {};
        struct stat st;

        if (streq(device, AUDIO_ALSA_CLASS)) {
                errno = ENODEV;
                return glob(AUDIO_ALSA_CARDS, 0, NULL, &found) == 0;
        }
        return *device != '/' || stat(device, &st) >= 0;
}

static void add_hint(const Domain *d, const char *device, Fault *f) {
        const char *graphics = gl_device(d->live);

        if (graphics && streq(device, graphics))
                fault_hint(f, "name one that is in /dev/dri in <gl rendernode=…>, or leave it out to have the first");
        else if (*device != '/')
                fault_hint(f, "the host has none, or its module is not loaded");
        else
                fault_hint(f, "the kernel's module for it is snd_pcm_oss; <audio type='alsa'> takes none");
}

static int check_devices(const Domain *d, const UnitProperties *p, Fault *f) {
        for (size_t i = 0; i < p->n; i++) {
                const char *device = p->items[i].device;
                int r;

                if (is_there(device))
                        continue;
                r = fault_set(f, FAULT_HOST, errno, "%s is to use %s: %m", d->name, *device == '/' ? device : "sound cards");
                add_hint(d, device, f);
                return r;
        }
        return 0;
}

int limits_allow_devices(Domain *d, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        _cleanup_unit_properties_ UnitProperties p = {};
        int r;

        assert(d && d->live && done && ret);

        tune_devices(d->live, false, &p);
        r = check_devices(d, &p, f);
        if (r < 0)
                return r;
        return p.n == 0 || !d->manager->by_unit || !d->manager->bus || !d->unit ? 1 : tell(d, &p, done, userdata, ret, f);
}

int limits_change(Domain *d, const DomainDef *before, const DomainDef *after, UnitDone done, void *userdata, UnitCall **ret, Fault *f) {
        _cleanup_unit_properties_ UnitProperties p = {};
        int r = tune_change(before, after, &p);

        if (r < 0)
                return fault_oom(f);
        if (p.n == 0)
                return 1;
        if (!d->manager->by_unit || !d->manager->bus || !d->unit) {
                fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "the limits of %s are systemd's to keep, and it is not run as a unit", d->name);
                return -EOPNOTSUPP;
        }
        return tell(d, &p, done, userdata, ret, f);
}

static int begin_reset(Domain *d, LimitsReset *reset) {
        Telling t = { NULL, &reset->properties };

        reset->unit = strdup(d->unit);
        if (!reset->unit)
                return -ENOMEM;
        return unit_set_properties(d->manager->bus, d->unit, "take back the limits of", fill, &t, on_reset, reset, &reset->call);
}

/* Takes over what is in `p`. */
static int take_back(Domain *d, UnitProperties *p) {
        LimitsReset *reset = find_reset(d);
        int r;

        if (reset)
                reset_free(reset);
        reset = new0(LimitsReset, 1);
        if (!reset)
                return -ENOMEM;
        LIST_INSERT_HEAD(&d->manager->limits_resets, reset, link);
        reset->properties = TAKE(*p, ((UnitProperties) {}));
        r = begin_reset(d, reset);
        if (r < 0)
                reset_free(reset);
        return r;
}

int limits_take_back(Domain *d, const DomainDef *before, const DomainDef *after) {
        _cleanup_unit_properties_ UnitProperties p = {};
        int r;

        assert(d && before && after);

        if (!d->unit || !d->manager->by_unit || !d->manager->bus)
                return 0;
        r = tune_change(before, after, &p);
        return r < 0 || p.n == 0 ? r : take_back(d, &p);
}

void limits_reset(Domain *d) {
        _cleanup_unit_properties_ UnitProperties p = {};
        int r;

        if (!d->live || !d->unit || !d->manager->by_unit || !d->manager->bus || tune_properties(d->live, true, &p) < 0)
                return;
        tune_devices(d->live, true, &p);
        if (p.n == 0)
                return;
        r = take_back(d, &p);
        if (r < 0)
                (void) log_domain_warning_errno(d, r, "its limits can't be taken back: %m");
}
