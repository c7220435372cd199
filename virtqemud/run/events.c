/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events.h"

#include <inttypes.h>

#include "../qmp/qmp-cmd.h"
#include "clock.h"
#include "manager.h"
#include "mem.h"
#include "status.h"
#include "str.h"

struct DomainEvents {
        Domain *domain;
        DomainEvent *items;
        size_t n, allocated;
        sd_event_source *timer;
};

static void event_clear(DomainEvent *e) {
        free(e->device);
        json_decref(e->details);
        *e = (DomainEvent) {};
}

static void log_event(Domain *d, const DomainEvent *e) {
        const GuestEventRow *row = guest_event_row(e->kind);
        _cleanup_free_ char *text = guest_event_text(e->kind, e->device, e->details);
        LogScope scope = d->scope;

        scope.message_id = &row->message_id;
        if (e->count - e->told > 1)
                (void) log_at(row->level, 0, &scope, "%s (%" PRIu64 " times)", text ?: row->text, e->count - e->told);
        else
                (void) log_at(row->level, 0, &scope, "%s", text ?: row->text);
}

static void tell(Domain *d, DomainEvent *e) {
        Manager *m = d->manager;

        log_event(d, e);
        e->told = e->count;
        e->told_usec = now_usec(CLOCK_MONOTONIC);
        status_save(d);
        m->watch.event(d, e, m->watch_userdata);
        domain_changed(d, DOMAIN_CHANGED_EVENTS);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* For the first of those that wait. */
static void arm(DomainEvents *events) {
        uint64_t next = UINT64_MAX;
        int r = 0;

        for (size_t i = 0; i < events->n; i++)
                if (events->items[i].told < events->items[i].count)
                        next = MIN(next, events->items[i].told_usec + EVENTS_GAP_USEC);
        if (next == UINT64_MAX)
                return;
        if (!events->timer)
                r = sd_event_add_time(events->domain->manager->event, &events->timer, CLOCK_MONOTONIC, next, 0, on_timer, events);
        else if (sd_event_source_set_time(events->timer, next) >= 0)
                r = sd_event_source_set_enabled(events->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                (void) log_domain_warning_errno(events->domain, r, "some of its events are not told: %m");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        DomainEvents *events = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        for (size_t i = 0; i < events->n; i++) {
                DomainEvent *e = &events->items[i];

                if (e->told < e->count && e->told_usec + EVENTS_GAP_USEC <= now)
                        tell(events->domain, e);
        }
        arm(events);
        return 0;
}

static DomainEvents *events_of(Domain *d) {
        if (!d->events)
                d->events = new0(DomainEvents, 1);
        if (d->events)
                d->events->domain = d;
        return d->events;
}

static void drop_oldest(DomainEvents *events) {
        size_t oldest = 0;

        for (size_t i = 1; i < events->n; i++)
                if (events->items[i].usec < events->items[oldest].usec)
                        oldest = i;
        event_clear(&events->items[oldest]);
        events->items[oldest] = events->items[--events->n];
}

static DomainEvent *find_or_add(DomainEvents *events, GuestEvent kind, const char *device) {
        _cleanup_free_ char *copy = NULL;

        for (size_t i = 0; i < events->n; i++)
                if (events->items[i].kind == kind && streq_null(events->items[i].device, device))
                        return &events->items[i];
        if (events->n >= EVENTS_MAX)
                drop_oldest(events);
        copy = device ? strdup(device) : NULL;
        if ((device && !copy) || !GROW(events->items, events->allocated, events->n + 1))
                return NULL;
        events->items[events->n] = (DomainEvent) { .kind = kind, .device = TAKE_PTR(copy) };
        return &events->items[events->n++];
}

void events_add(Domain *d, GuestEvent kind, const char *device, const json_t *data) {
        DomainEvents *events;
        DomainEvent *e;
        json_t *details;

        assert(d);

        details = guest_event_details(kind, data);
        events = events_of(d);
        e = details && events ? find_or_add(events, kind, device) : NULL;
        if (!e) {
                json_decref(details);
                (void) log_oom();
                return;
        }
        json_decref(e->details);
        e->details = details;
        e->usec = now_usec(CLOCK_REALTIME);
        e->count++;
        if (e->told_usec == 0 || now_usec(CLOCK_MONOTONIC) >= e->told_usec + EVENTS_GAP_USEC)
                tell(d, e);
        else
                arm(events);
}

size_t events_count(const Domain *d) {
        assert(d);

        return d->events ? d->events->n : 0;
}

const DomainEvent *events_get(const Domain *d, size_t i) {
        assert(i < events_count(d));

        return &d->events->items[i];
}

const DomainEvent *events_last(const Domain *d, GuestEvent kind) {
        const DomainEvent *last = NULL;

        for (size_t i = 0; i < events_count(d); i++) {
                const DomainEvent *e = events_get(d, i);

                if (e->kind == kind && (!last || e->usec > last->usec))
                        last = e;
        }
        return last;
}

DomainEvents *events_free(DomainEvents *events) {
        if (!events)
                return NULL;
        sd_event_source_disable_unref(events->timer);
        for (size_t i = 0; i < events->n; i++)
                event_clear(&events->items[i]);
        free(events->items);
        free(events);
        return NULL;
}

void events_clear(Domain *d) {
        assert(d);

        if (!d->events)
                return;
        d->events = events_free(d->events);
        domain_changed(d, DOMAIN_CHANGED_EVENTS);
}

/* --- over a restart of ours --- */

json_t *events_to_json(const Domain *d) {
        json_t *list = json_array();

        for (size_t i = 0; list && i < events_count(d); i++) {
                const DomainEvent *e = events_get(d, i);
                json_t *item = json_pack("{s:s, s:s*, s:I, s:I, s:O}", "event", guest_event_to_string(e->kind), "device", e->device,
                                         "usec", (json_int_t) e->usec, "count", (json_int_t) e->count, "details", e->details);

                if (json_array_append_new(list, item) < 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

static int take_event(DomainEvents *events, const json_t *item) {
        GuestEvent kind = guest_event_from_string(json_string_value(json_object_get(item, "event")));
        uint64_t usec, count;
        DomainEvent *e;

        if (kind < 0 || json_get_u64(item, "usec", &usec) < 0 || json_get_u64(item, "count", &count) < 0)
                return 0;
        e = find_or_add(events, kind, json_string_value(json_object_get(item, "device")));
        if (!e)
                return -ENOMEM;
        json_decref(e->details);
        e->details = guest_event_details(kind, json_object_get(item, "details"));
        e->usec = usec;
        e->count = e->told = count;
        return e->details ? 0 : -ENOMEM;
}

int events_from_json(Domain *d, const json_t *list) {
        const json_t *item;
        size_t i;
        int r = 0;

        assert(d);

        if (json_array_size(list) == 0)
                return 0;
        if (!events_of(d))
                return -ENOMEM;
        json_array_foreach(list, i, item)
                if (r >= 0)
                        r = take_event(d->events, item);
        return r;
}
