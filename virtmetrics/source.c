/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "source.h"

#include <systemd/sd-id128.h>

#include "log.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

#define QEMU1_NAME "org.virtbus.qemu1"
#define QEMU1_ROOT "/org/virtbus/qemu1"
#define QEMU1_DOMAIN_ROOT QEMU1_ROOT "/domain/"
#define TIMEOUT_USEC UINT64_C(5000000)   /* it may have to be started */

struct Source {
        sd_event *event;
        bool user;
        sd_bus *bus;             /* NULL: not connected yet, or not any more */
        sd_bus_slot *call;
        SourceDone done;
        void *userdata;
};

Page *page_ref(Page *p) {
        p->n_refs++;
        return p;
}

Page *page_unref(Page *p) {
        if (!p || --p->n_refs > 0)
                return NULL;
        for (size_t i = 0; i < _METRIC_FORMAT_MAX; i++)
                free(p->text[i]);
        free(p);
        return NULL;
}

/* --- the answer --- */

/* Names and texts stay the message's. */
typedef struct Domains {
        MetricDomain *items;
        size_t n, allocated;
} Domains;

static void domains_clear(Domains *d) {
        for (size_t i = 0; i < d->n; i++) {
                free(d->items[i].values);
                free((char *) d->items[i].uuid);
        }
        free(d->items);
}

static int read_value(sd_bus_message *m, MetricValue *v) {
        const char *contents;
        int flag, r;
        char type;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        if (streq(contents, "t"))
                return sd_bus_message_read(m, "v", "t", &v->number);
        if (streq(contents, "s"))
                return sd_bus_message_read(m, "v", "s", &v->text);
        if (!streq(contents, "b")) {
                v->key = NULL; /* a list */
                return sd_bus_message_skip(m, "v");
        }
        r = sd_bus_message_read(m, "v", "b", &flag);
        v->number = flag > 0;
        return r;
}

static int read_values(sd_bus_message *m, MetricDomain *d) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                MetricValue *v;

                if (!GROW(d->values, d->allocated, d->n + 1))
                        return -ENOMEM;
                v = &d->values[d->n];
                r = sd_bus_message_read(m, "s", &v->key);
                if (r >= 0)
                        r = read_value(m, v);
                if (v->key && v->text && streq(v->key, "name"))
                        d->name = v->text;
                else if (v->key)
                        d->n++;
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static char *uuid_of(const char *path) {
        const char *hex = str_after(path, QEMU1_DOMAIN_ROOT);
        char text[SD_ID128_UUID_STRING_MAX];
        sd_id128_t id;

        return hex && sd_id128_from_string(hex, &id) >= 0 ? strdup(sd_id128_to_uuid_string(id, text)) : NULL;
}

static int read_domains(sd_bus_message *m, Domains *all) {
        int r = sd_bus_message_enter_container(m, 'a', "(oa{sv})");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "oa{sv}")) > 0) {
                MetricDomain *d;
                const char *path;

                if (!GROW(all->items, all->allocated, all->n + 1))
                        return -ENOMEM;
                d = &all->items[all->n++];
                r = sd_bus_message_read(m, "o", &path);
                d->uuid = r < 0 ? NULL : uuid_of(path);
                if (r >= 0)
                        r = read_values(m, d);
                if (r >= 0 && (!d->name || !d->uuid))
                        r = -EBADMSG;
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

static int make_page(sd_bus_message *m, Page **ret) {
        _cleanup_(domains_clear) Domains all = {};
        _cleanup_(page_unrefp) Page *page = new0(Page, 1);
        int r;

        if (!page)
                return -ENOMEM;
        page->n_refs = 1;
        r = read_domains(m, &all);
        if (r < 0)
                return r;
        for (MetricFormat f = 0; f < _METRIC_FORMAT_MAX; f++) {
                Text t = TEXT_INIT;

                openmetrics_write(all.items, all.n, f, &t);
                page->length[f] = t.length;
                page->text[f] = text_finish(&t);
                if (!page->text[f])
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(page);
        return 0;
}

static int on_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        _cleanup_(page_unrefp) Page *page = NULL;
        Source *s = userdata;
        int r = e ? -EIO : make_page(m, &page);

        s->call = sd_bus_slot_unref(s->call);
        if (r < 0)
                log_warning("virtqemud gives no statistics: %s", e ? e->message ?: e->name : strerror(-r));
        s->done(page, e ? e->message ?: e->name : r < 0 ? strerror(-r) : NULL, s->userdata);
        return 1;
}

/* --- the connection --- */

/* The next question makes a new one. An open call was answered with an error. */
static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Source *s = userdata;

        s->bus = sd_bus_close_unref(s->bus);
        return 1;
}

static int connect_bus(Source *s) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (s->bus)
                return 0;
        r = s->user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, false);
        if (r >= 0)
                r = sd_bus_attach_event(bus, s->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", NULL, "org.freedesktop.DBus.Local",
                                              "Disconnected", on_disconnected, NULL, s);
        if (r < 0)
                return log_warning_errno(r, "the message bus can't be reached: %m");
        s->bus = TAKE_PTR(bus);
        return 0;
}

int source_ask(Source *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        assert(s);

        if (s->call)
                return 0;
        r = connect_bus(s);
        if (r >= 0)
                r = sd_bus_message_new_method_call(s->bus, &m, QEMU1_NAME, QEMU1_ROOT, QEMU1_NAME ".Manager", "GetStatistics");
        if (r >= 0)
                r = sd_bus_message_append(m, "aota{sv}", 0, UINT64_C(0), 0);
        return r < 0 ? r : sd_bus_call_async(s->bus, &s->call, m, on_statistics, s, TIMEOUT_USEC);
}

int source_new(sd_event *event, bool user, SourceDone done, void *userdata, Source **ret) {
        Source *s = new0(Source, 1);

        assert(event && done && ret);

        if (!s)
                return -ENOMEM;
        *s = (Source) { .event = sd_event_ref(event), .user = user, .done = done, .userdata = userdata };
        *ret = s;
        return 0;
}

Source *source_free(Source *s) {
        if (!s)
                return NULL;
        sd_bus_slot_unref(s->call);
        sd_bus_close_unref(s->bus);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}
