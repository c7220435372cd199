/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock-keep.h"

#include "config-edit.h"
#include "events.h"
#include "mem.h"

/* The definition is not written for each change, but already tells no difference from the machine. */
void clock_set(Domain *d, int64_t adjustment) {
        DomainDef *config = d->config;

        assert(d->live);

        d->live->clock_adjustment = adjustment;
        free_and_replace(&d->live_text, NULL);
        if (config && config->clock_offset == CLOCK_VARIABLE && config->clock_basis == d->live->clock_basis)
                config->clock_adjustment = adjustment;
}

static const json_t *last_adjustment(const Domain *d) {
        const DomainEvent *last = events_last(d, GUEST_EVENT_RTC_CHANGED);

        return last ? json_object_get(last->details, "adjustment") : NULL;
}

void clock_take_up(Domain *d) {
        const json_t *adjustment = last_adjustment(d);

        if (d->live && adjustment)
                clock_set(d, json_integer_value(adjustment));
}

static int edit(DomainDef *def, void *userdata, Fault *f) {
        def->clock_adjustment = *(const int64_t *) userdata;
        return 0;
}

static void on_kept(Domain *d, int error, const Fault *f, void *userdata) {
        if (error < 0)
                log_warning("a guest's clock will be wrong at its next start: %s", fault_text(f));
}

void clock_keep(Domain *d) {
        const json_t *adjustment = last_adjustment(d);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int64_t seconds = json_integer_value(adjustment);

        /* Else somebody has defined it anew meanwhile, and knows better. */
        if (!adjustment || !d->config || d->config->clock_offset != CLOCK_VARIABLE || d->config->clock_adjustment != seconds)
                return;
        if (config_edit_apply(d, edit, &seconds, on_kept, NULL, &f) < 0)
                log_domain_warning(d, "its clock will be wrong at the next start: %s", fault_text(&f));
}
