/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit-limits.h"

#include <string.h>

#include "../plan/tune.h"
#include "manager.h"

#define SYSTEMD "org.freedesktop.systemd1"

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
        else if (r >= 0)
                r = sd_bus_message_append(m, "v", "t", p->value);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* For this run only: a definition that says something else later is not to find what was said before. */
static int tell(Domain *d, const UnitProperties *p, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = d->manager->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "SetUnitProperties");
        if (r >= 0)
                r = sd_bus_message_append(m, "sb", d->unit, true);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        for (size_t i = 0; i < p->n && r >= 0; i++)
                r = append(m, &p->items[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        return done ? sd_bus_call_async(bus, ret, m, done, userdata, 0) : sd_bus_send(bus, m, NULL);
}

int limits_apply(Domain *d, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret, Fault *f) {
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
        r = tell(d, &p, done, userdata, ret);
        return r < 0 ? fault_set(f, FAULT_UNIT, -r, "systemd can't be told the limits of %s: %s", d->unit, strerror(-r)) : 0;
}

int limits_change(Domain *d, const DomainDef *before, const DomainDef *after, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret, Fault *f) {
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
        r = tell(d, &p, done, userdata, ret);
        return r < 0 ? fault_set(f, FAULT_UNIT, -r, "systemd can't be told the limits of %s: %s", d->unit, strerror(-r)) : !done;
}

int limits_answer(const Domain *d, sd_bus_message *reply, Fault *f) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        return e ? fault_set(f, FAULT_UNIT, EIO, "systemd did not take the limits of %s: %s", d->unit, e->message) : 0;
}

void limits_reset(Domain *d) {
        _cleanup_unit_properties_ UnitProperties p = {};

        if (d->live && d->unit && d->manager->by_unit && d->manager->bus && tune_properties(d->live, true, &p) >= 0 && p.n > 0)
                (void) tell(d, &p, NULL, NULL, NULL);
}
