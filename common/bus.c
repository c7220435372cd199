/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include <stdio.h>
#include <sys/queue.h>

#include "bus-auth.h"
#include "bus-calls.h"
#include "bus-peers.h"
#include "bus-turns.h"
#include "loop.h"
#include "mem.h"
#include "str.h"

/* Properties of one object and interface that wait to be announced. */
typedef struct Dirty {
        char *path;
        const char *interface;
        char **properties;
        STAILQ_ENTRY(Dirty) link;
} Dirty;

struct Bus {
        BusOptions options;
        sd_bus *broker;
        BusAuth *auth;
        BusTurns *turns;
        BusPeers *peers;
        BusCalls *calls;
        sd_event_source *flush_source, *released_source;
        void (*released)(void *userdata);
        STAILQ_HEAD(, Dirty) dirty;
        LIST_ENTRY(Bus) link;
};

/* Every Bus of this process, so that a handler finds the one its connection belongs to. */
static LIST_HEAD(, Bus) all = LIST_HEAD_INITIALIZER(all);

static Dirty *dirty_free(Dirty *d) {
        if (!d)
                return NULL;
        free(d->path);
        strv_free(d->properties);
        free(d);
        return NULL;
}

Bus *bus_of(sd_bus *connection) {
        Bus *b;

        LIST_FOREACH(b, &all, link)
                if (b->broker == connection || (b->peers && bus_peers_have(b->peers, connection)))
                        return b;
        return NULL;
}

BusAuth *bus_auth_of(Bus *b) {
        return b->auth;
}

BusCalls *bus_calls_of(Bus *b) {
        return b->calls;
}

sd_bus *bus_broker(Bus *b) {
        return b->broker;
}

sd_event *bus_event(Bus *b) {
        return b->options.event;
}

bool bus_is_peer(Bus *b, sd_bus *connection) {
        return connection != b->broker;
}

/* --- objects --- */

static bool is_below(const char *path, const char *folder) {
        const char *rest = str_after(path, folder);

        return rest && rest[0] == '/';
}

int bus_find_target(Bus *b, sd_bus_message *m, const BusObject **ret_row, void **ret_object) {
        const char *path = sd_bus_message_get_path(m), *interface = sd_bus_message_get_interface(m);

        for (const BusObject *const *o = b->options.objects; *o; o++) {
                const BusObject *row = *o;
                void *object = b->options.userdata;
                int r;

                if ((interface && !streq(row->interface, interface)) ||
                    (row->many ? !is_below(path, row->path) : !streq(path, row->path)))
                        continue;
                r = row->many ? row->find(path, b->options.userdata, &object) : 1;
                if (r <= 0)
                        continue;
                *ret_row = row;
                *ret_object = object;
                return 0;
        }
        return -ENOENT;
}

/* sd-bus wants the interface in its question; ours is known from the row. */
static int find_object(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        Bus *b = bus_of(connection);

        for (const BusObject *const *o = b ? b->options.objects : NULL; o && *o; o++)
                if ((*o)->many && streq((*o)->interface, interface) && is_below(path, (*o)->path)) {
                        int r = (*o)->find(path, b->options.userdata, ret);

                        if (r != 0)
                                return r;
                }
        return 0;
}

static int enumerate_objects(sd_bus *connection, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        const BusObject *row = userdata;
        Bus *b = bus_of(connection);

        return b ? row->enumerate(ret, b->options.userdata) : 0;
}

static int add_object(Bus *b, sd_bus *connection, const BusObject *row) {
        int r = 0;

        for (const sd_bus_vtable *const *v = row->vtables; *v && r >= 0; v++) {
                if (row->many)
                        r = sd_bus_add_fallback_vtable(connection, NULL, row->path, row->interface, *v, find_object, (void *) row);
                else
                        r = sd_bus_add_object_vtable(connection, NULL, row->path, row->interface, *v, b->options.userdata);
        }
        if (r >= 0 && row->enumerate)
                r = sd_bus_add_node_enumerator(connection, NULL, row->path, enumerate_objects, (void *) row);
        return r;
}

static int on_any_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        if (b->options.activity)
                b->options.activity(b->options.userdata);
        if (sd_bus_message_get_interface(m) && sd_bus_message_get_member(m))
                loop_note(sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
        if (sd_bus_message_get_bus(m) == b->broker)
                return bus_turns_take(b->turns, m);
        bus_peers_heard(b->peers, sd_bus_message_get_bus(m));
        return 0;
}

int bus_add_objects(Bus *b, sd_bus *connection) {
        int r = 0;

        for (const BusObject *const *o = b->options.objects; *o && r >= 0; o++)
                r = add_object(b, connection, *o);
        if (r >= 0)
                r = sd_bus_add_object_manager(connection, NULL, b->options.root);
        if (r >= 0)
                r = sd_bus_add_filter(connection, NULL, on_any_message, b);
        return r;
}

/* --- the message bus --- */

static int on_broker_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        if (b->options.lost)
                b->options.lost(b->options.userdata);
        return 0;
}

int bus_connect(Bus *b) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *connection = NULL;
        int r;

        assert(b && !b->broker);

        r = b->options.user ? sd_bus_open_user(&connection) : sd_bus_open_system(&connection);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(connection, b->options.event, BUS_TURNS_PRIORITY);
        if (r < 0)
                return r;
        (void) sd_bus_set_exit_on_disconnect(connection, false);
        b->broker = connection; /* the objects' callbacks look it up */
        r = bus_add_objects(b, connection);
        if (r >= 0)
                r = sd_bus_match_signal_async(connection, NULL, "org.freedesktop.DBus.Local", NULL, "org.freedesktop.DBus.Local",
                                              "Disconnected", on_broker_lost, NULL, b);
        if (r < 0) {
                b->broker = NULL;
                return r;
        }
        connection = NULL;
        return 0;
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e) {
                fprintf(stderr, "can't have the bus name %s: %s\n", b->options.name, e->message ?: e->name);
                return sd_event_exit(b->options.event, -EEXIST);
        }
        return 0;
}

int bus_take_name(Bus *b) {
        assert(b);

        return b->broker ? sd_bus_request_name_async(b->broker, NULL, b->options.name, 0, on_name, b) : 0;
}

static int on_all_handled(sd_event_source *source, void *userdata) {
        Bus *b = userdata;

        b->released(b->options.userdata);
        return 0;
}

/* What was sent to the name before is here, and is handled before anything of less priority. */
static int on_released(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        bus_turns_finish(b->turns);
        return sd_event_source_set_enabled(b->released_source, SD_EVENT_ONESHOT);
}

void bus_release_name(Bus *b, void (*released)(void *userdata)) {
        assert(b && released);

        b->released = released;
        if (!b->broker || sd_bus_release_name_async(b->broker, NULL, b->options.name, on_released, b) < 0)
                (void) sd_event_source_set_enabled(b->released_source, SD_EVENT_ONESHOT);
}

/* --- the end --- */

void bus_stop(Bus *b, void (*released)(void *userdata)) {
        bus_peers_close(b->peers);
        bus_release_name(b, released);
}

bool bus_owes_answers(const Bus *b) {
        return bus_calls_any(b->calls);
}

void bus_refuse_calls(Bus *b, const char *daemon) {
        bus_calls_refuse(b->calls, daemon);
}

bool bus_is_unwritten(Bus *b) {
        uint64_t n = 0;

        if (bus_peers_unwritten(b->peers))
                return true;
        return b->broker && sd_bus_get_n_queued_write(b->broker, &n) >= 0 && n > 0;
}

/* --- the private socket --- */

int bus_listen(Bus *b, int fd) {
        assert(b && fd >= 0);

        return bus_peers_listen(b->peers, fd);
}

/* --- changes --- */

static void announce(Bus *b, const Dirty *d) {
        sd_bus *connection;

        /* An object that has gone meanwhile has said so; what changed on it is of no interest. */
        if (b->broker)
                (void) sd_bus_emit_properties_changed_strv(b->broker, d->path, d->interface, d->properties);
        BUS_PEERS_FOREACH(connection, b->peers)
                (void) sd_bus_emit_properties_changed_strv(connection, d->path, d->interface, d->properties);
}

static int on_flush(sd_event_source *source, void *userdata) {
        Bus *b = userdata;
        Dirty *d;

        while ((d = STAILQ_FIRST(&b->dirty))) {
                STAILQ_REMOVE_HEAD(&b->dirty, link);
                announce(b, d);
                dirty_free(d);
        }
        if (source) /* not in the middle of anything */
                bus_peers_drop_unread(b->peers);
        return 0;
}

static Dirty *find_dirty(Bus *b, const char *path, const char *interface) {
        Dirty *d;

        STAILQ_FOREACH(d, &b->dirty, link)
                if (streq(d->path, path) && streq(d->interface, interface))
                        return d;

        d = new0(Dirty, 1);
        if (!d)
                return NULL;
        d->path = strdup(path);
        d->interface = interface;
        if (!d->path)
                return dirty_free(d);
        STAILQ_INSERT_TAIL(&b->dirty, d, link);
        return d;
}

void bus_changed(Bus *b, const char *path, const char *interface, const char *property) {
        Dirty *d;

        assert(b && path && interface && property);

        d = find_dirty(b, path, interface);
        if (!d || (!strv_contains(d->properties, property) && strv_push(&d->properties, property) < 0))
                return;
        (void) sd_event_source_set_enabled(b->flush_source, SD_EVENT_ONESHOT);
}

void bus_added(Bus *b, const char *path) {
        sd_bus *connection;

        if (b->broker)
                (void) sd_bus_emit_object_added(b->broker, path);
        BUS_PEERS_FOREACH(connection, b->peers)
                (void) sd_bus_emit_object_added(connection, path);
}

void bus_removed(Bus *b, const char *path) {
        Dirty *d, *next;
        sd_bus *connection;

        for (d = STAILQ_FIRST(&b->dirty); d; d = next) {
                next = STAILQ_NEXT(d, link);
                if (streq(d->path, path)) {
                        STAILQ_REMOVE(&b->dirty, d, Dirty, link);
                        dirty_free(d);
                }
        }
        if (b->broker)
                (void) sd_bus_emit_object_removed(b->broker, path);
        BUS_PEERS_FOREACH(connection, b->peers)
                (void) sd_bus_emit_object_removed(connection, path);
}

static int emit_one(sd_bus *connection, const char *path, const char *interface, const char *member, BusFill fill, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_signal(connection, &m, path, interface, member);
        if (r >= 0)
                r = fill(m, userdata);
        return r < 0 ? r : sd_bus_send(connection, m, NULL);
}

int bus_emit_filled(Bus *b, const char *path, const char *interface, const char *member, BusFill fill, void *userdata) {
        sd_bus *connection;
        int r = 0;

        assert(b && path && interface && member && fill);

        /* In order: what changed before is told before. */
        (void) on_flush(NULL, b);
        if (bus_peers_any(b->peers))
                (void) sd_event_source_set_enabled(b->flush_source, SD_EVENT_ONESHOT);
        if (b->broker)
                r = emit_one(b->broker, path, interface, member, fill, userdata);
        BUS_PEERS_FOREACH(connection, b->peers)
                (void) emit_one(connection, path, interface, member, fill, userdata);
        return r;
}

typedef struct Arguments {
        const char *types;
        va_list ap;
} Arguments;

static int fill_arguments(sd_bus_message *m, void *userdata) {
        Arguments *a = userdata;
        va_list copy;
        int r;

        va_copy(copy, a->ap);
        r = sd_bus_message_appendv(m, a->types, copy);
        va_end(copy);
        return r;
}

int bus_emit(Bus *b, const char *path, const char *interface, const char *member, const char *types, ...) {
        Arguments a = { .types = types };
        int r;

        assert(types);

        va_start(a.ap, types);
        r = bus_emit_filled(b, path, interface, member, fill_arguments, &a);
        va_end(a.ap);
        return r;
}

/* --- life --- */

int bus_new(const BusOptions *options, Bus **ret) {
        _cleanup_(bus_freep) Bus *b = NULL;
        int r;

        assert(options && options->event && options->objects && ret);

        b = new0(Bus, 1);
        if (!b)
                return -ENOMEM;
        b->options = *options;
        STAILQ_INIT(&b->dirty);
        LIST_INSERT_HEAD(&all, b, link);
        (void) sd_event_ref(b->options.event);

        r = sd_event_add_defer(b->options.event, &b->flush_source, on_flush, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->flush_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(b->options.event, &b->released_source, on_all_handled, b);
        if (r >= 0)
                r = sd_event_source_set_priority(b->released_source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->released_source, SD_EVENT_OFF);
        if (r >= 0)
                r = bus_peers_new(b, &b->options, &b->peers);
        if (r >= 0)
                r = bus_turns_new(b->options.event, &b->turns);
        if (r >= 0)
                r = bus_calls_new(&b->calls);
        if (r >= 0)
                r = bus_auth_new(b, &b->auth);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

Bus *bus_free(Bus *b) {
        Dirty *d;

        if (!b)
                return NULL;
        (void) on_flush(NULL, b);
        b->auth = bus_auth_free(b->auth);
        b->turns = bus_turns_free(b->turns);
        b->calls = bus_calls_free(b->calls);
        b->peers = bus_peers_free(b->peers);
        while ((d = STAILQ_FIRST(&b->dirty))) {
                STAILQ_REMOVE_HEAD(&b->dirty, link);
                dirty_free(d);
        }
        sd_event_source_disable_unref(b->flush_source);
        sd_event_source_disable_unref(b->released_source);
        if (b->broker)
                sd_bus_flush_close_unref(b->broker);
        sd_event_unref(b->options.event);
        LIST_REMOVE(b, link);
        free(b);
        return NULL;
}
