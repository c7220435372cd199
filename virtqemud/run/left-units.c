/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "left-units.h"

#include "mem.h"
#include "str.h"
#include "unit.h"

struct LeftUnit {
        Manager *manager;
        char *unit;
        UnitGone *gone;
        LIST_ENTRY(LeftUnit) link;
};

static void left_free(LeftUnit *l) {
        LIST_REMOVE(l, link);
        unit_gone_free(l->gone);
        free(l->unit);
        free(l);
}

void left_units_clear(Manager *m) {
        while (!LIST_EMPTY(&m->left_units))
                left_free(LIST_FIRST(&m->left_units));
}

static void on_gone(void *userdata) {
        LeftUnit *l = userdata;

        unit_reset_failed(l->manager->bus, l->unit);
        left_free(l);
}

void left_unit_taken(Manager *m, const char *unit) {
        LeftUnit *l;

        assert(m && unit);

        LIST_FOREACH(l, &m->left_units, link)
                if (streq(l->unit, unit)) {
                        left_free(l);
                        return;
                }
}

void left_unit_forget(Manager *m, const char *unit) {
        LeftUnit *l;

        assert(m && unit);

        left_unit_taken(m, unit);
        l = new0(LeftUnit, 1);
        if (!l)
                return;
        LIST_INSERT_HEAD(&m->left_units, l, link);
        l->manager = m;
        l->unit = strdup(unit);
        if (!l->unit || unit_gone_watch(m->bus, unit, on_gone, l, &l->gone) < 0) {
                log_debug("%s: that it has failed is not forgotten", unit);
                left_free(l);
        }
}
