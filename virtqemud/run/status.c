/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "status.h"

#include <jansson.h>

#include "companions.h"
#include "events.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "operation.h"
#include "start.h"
#include "store.h"
#include "str.h"
#include "usb-return.h"
#include "xml-write.h"

#define AGAIN_USEC (2u * 1000 * 1000)

static int set_string(json_t *o, const char *key, const char *value) {
        return value ? json_object_set_new(o, key, json_string(value)) : 0;
}

static json_t *strings_to_json(char *const *v) {
        json_t *a = json_array();

        for (; a && v && *v; v++)
                if (json_array_append_new(a, json_string(*v)) < 0) {
                        json_decref(a);
                        return NULL;
                }
        return a;
}

static int set_awaited(json_t *o, const Instance *i) {
        json_t *list = usb_return_to_json(i);

        return list ? json_object_set_new(o, "awaited", list) : 0;
}

static json_t *status_to_json(const Domain *d, const char *definition) {
        const Instance *i = d->instance;
        unsigned flags = 0;
        bool starting = start_is_under_way(d, &flags);
        json_t *o;

        o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:i, s:I, s:i, s:o}",
                      "name", d->name, "uuid", d->uuid_string,
                      "state", domain_state_to_string(d->state), "reason", state_reason_to_string(d->reason),
                      "state-usec", (json_int_t) d->state_usec, "start-usec", (json_int_t) d->start_usec,
                      "handed-over", i->handed_over, "running-guest", i->running_guest, "terminated", i->terminated,
                      "supervisor-pid", (int) i->supervisor.pid, "supervisor-start", (json_int_t) i->supervisor.start_time,
                      "start-flags", (int) flags, "warnings", strings_to_json(d->warnings));
        if (!o)
                return NULL;
        if (json_object_set_new(o, "tainted", strings_to_json(d->tainted)) < 0 ||
            set_string(o, "step", starting ? steps_current(d->operation->steps) : NULL) < 0 || set_string(o, "unit", i->unit) < 0 ||
            json_object_set_new(o, "events", events_to_json(d)) < 0 ||
            json_object_set_new(o, "companions", companions_to_json(i->companions)) < 0 ||
            set_awaited(o, i) < 0 || (i->journal && json_object_set(o, "journal", i->journal) < 0) || set_string(o, "machine", i->machine_name) < 0 ||
            set_string(o, "pause-reason", d->pause_reason) < 0 || set_string(o, "definition", definition) < 0) {
                json_decref(o);
                return NULL;
        }
        return o;
}

static int save(Domain *d) {
        _cleanup_free_ char *text = NULL;
        json_t *o;
        int r;

        if (d->live && !d->live_text) {
                r = xml_record_to_text(&d->live->head, XML_WRITE_LIVE | XML_WRITE_SECRETS, &d->live_text);
                if (r < 0)
                        return r;
        }
        o = status_to_json(d, d->live ? d->live_text : NULL);
        text = o ? json_dumps(o, JSON_COMPACT) : NULL;
        json_decref(o);
        if (!text)
                return -ENOMEM;
        return store_write(d->manager->statuses, d->uuid_string, text, strlen(text));
}

/* --- until it is kept --- */

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        m->status_again = sd_event_source_disable_unref(m->status_again);
        REGISTRY_FOREACH(Domain, d, m->domains)
                if (d->status_unsaved)
                        (void) status_save(d);
        return 0;
}

static void try_again(Manager *m) {
        int r = m->status_again ? 0 : sd_event_add_time_relative(m->event, &m->status_again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, m);

        if (r < 0)
                log_warning("what was not kept of the state of VMs is only tried again when that changes: %s", strerror(-r));
}

int status_save(Domain *d) {
        int r;

        assert(d);

        r = d->instance ? save(d) : store_remove(d->manager->statuses, d->uuid_string);
        if (r < 0 && !d->status_unsaved)
                (void) log_domain_warning_errno(d, r, "can't keep the run state, which is tried again: %m");
        if (r >= 0 && d->status_unsaved)
                log_domain_notice(d, "the run state is kept again");
        d->status_unsaved = r < 0;
        if (r < 0)
                try_again(d->manager);
        return r;
}

int status_must_save(Domain *d, Fault *f) {
        int r = status_save(d);

        if (r >= 0)
                return 0;
        fault_set(f, FAULT_STORE, -r, "the run state of %s can't be kept: %s", d->name, strerror(-r));
        if (r == -ENOSPC || r == -EDQUOT)
                fault_hint(f, "make room for %s", store_folder(d->manager->statuses));
        return r;
}

void status_clear(Status *s) {
        free(s->name);
        free(s->step);
        free(s->unit);
        free(s->machine_name);
        free(s->pause_reason);
        strv_free(s->warnings);
        strv_free(s->tainted);
        json_decref(s->events);
        json_decref(s->companions);
        json_decref(s->journal);
        json_decref(s->awaited);
        free(s->definition);
        *s = (Status) {};
}

static int take_string(json_t *o, const char *key, char **ret) {
        const char *s = json_string_value(json_object_get(o, key));

        return s ? free_and_strdup(ret, s) : 0;
}

static int take_list(json_t *o, const char *key, char ***ret) {
        json_t *item;
        size_t k;

        json_array_foreach(json_object_get(o, key), k, item)
                if (json_is_string(item) && strv_push(ret, json_string_value(item)) < 0)
                        return -ENOMEM;
        return 0;
}

static int take_strings(json_t *o, Status *s) {
        int r = take_list(o, "warnings", &s->warnings);

        r |= take_list(o, "tainted", &s->tainted);
        r |= take_string(o, "name", &s->name);
        r |= take_string(o, "step", &s->step);
        r |= take_string(o, "unit", &s->unit);
        r |= take_string(o, "machine", &s->machine_name);
        r |= take_string(o, "pause-reason", &s->pause_reason);
        r |= take_string(o, "definition", &s->definition);
        return r < 0 ? -ENOMEM : 0;
}

int status_parse(const char *text, size_t length, Status *ret, Fault *f) {
        _cleanup_status_ Status s = {};
        const char *uuid, *state, *reason;
        json_int_t state_usec, start_usec, supervisor_start;
        int handed_over, running_guest, terminated, pid, flags, r;
        json_error_t e;
        json_t *o;

        assert(text && ret);

        o = json_loadb(text, length, JSON_REJECT_DUPLICATES, &e);
        if (!o)
                return fault_set(f, FAULT_STORE, EUCLEAN, "line %d: %s", e.line, e.text);
        r = json_unpack_ex(o, &e, 0, "{s:s, s:s, s:s, s:I, s:I, s:b, s:b, s:b, s:i, s:I, s:i}",
                           "uuid", &uuid, "state", &state, "reason", &reason, "state-usec", &state_usec,
                           "start-usec", &start_usec, "handed-over", &handed_over, "running-guest", &running_guest,
                           "terminated", &terminated, "supervisor-pid", &pid, "supervisor-start", &supervisor_start,
                           "start-flags", &flags);
        if (r < 0 || sd_id128_from_string(uuid, &s.uuid) < 0) {
                json_decref(o);
                return fault_set(f, FAULT_STORE, EUCLEAN, "%s", r < 0 ? e.text : "not a UUID");
        }
        s.state = domain_state_from_string(state);
        s.reason = state_reason_from_string(reason);
        s.state_usec = (uint64_t) state_usec;
        s.start_usec = (uint64_t) start_usec;
        s.supervisor_start = (uint64_t) supervisor_start;
        s.supervisor_pid = pid;
        s.start_flags = (unsigned) flags;
        s.handed_over = handed_over;
        s.running_guest = running_guest;
        s.terminated = terminated;
        r = take_strings(o, &s);
        s.events = json_incref(json_object_get(o, "events"));
        s.companions = json_incref(json_object_get(o, "companions"));
        s.journal = json_incref(json_object_get(o, "journal"));
        s.awaited = json_incref(json_object_get(o, "awaited"));
        json_decref(o);
        if (r < 0)
                return r;
        if (s.state < 0 || s.reason < 0 || !s.name || !s.definition || s.supervisor_pid < 0)
                return fault_set(f, FAULT_STORE, EUCLEAN, "a state, name, definition or process is missing or unknown");

        *ret = s;
        s = (Status) {};
        return 0;
}
