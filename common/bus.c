/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-auth.h"
#include "bus-driver.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

typedef struct Peer {
        Bus *bus;
        sd_bus *connection;
        sd_event_source *rest;
        uid_t uid;
        LIST_ENTRY(Peer) link;
} Peer;

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
        int listen_fd;
        sd_event_source *listen_source, *flush_source;
        void (*released)(void *userdata);
        LIST_HEAD(, Peer) peers;
        unsigned n_peers;
        STAILQ_HEAD(, Dirty) dirty;
        LIST_ENTRY(Bus) link;
};

/* Every Bus of this process, so that a handler finds the one its connection belongs to. */
static LIST_HEAD(, Bus) all = LIST_HEAD_INITIALIZER(all);

static Peer *peer_free(Peer *p) {
        if (!p)
                return NULL;
        if (p->bus) {
                LIST_REMOVE(p, link);
                p->bus->n_peers--;
                if (p->bus->options.peer_gone)
                        p->bus->options.peer_gone(p->connection, p->bus->options.userdata);
        }
        sd_event_source_disable_unref(p->rest);
        sd_bus_close_unref(p->connection);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(Peer *, peer_free)

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
        Peer *p;

        LIST_FOREACH(b, &all, link) {
                if (b->broker == connection)
                        return b;
                LIST_FOREACH(p, &b->peers, link)
                        if (p->connection == connection)
                                return b;
        }
        return NULL;
}

BusAuth *bus_auth_of(Bus *b) {
        return b->auth;
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
        return 0;
}

static int add_objects(Bus *b, sd_bus *connection) {
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
        r = sd_bus_attach_event(connection, b->options.event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        (void) sd_bus_set_exit_on_disconnect(connection, false);
        b->broker = connection; /* the objects' callbacks look it up */
        r = add_objects(b, connection);
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

static int on_released(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        b->released(b->options.userdata);
        return 0;
}

void bus_release_name(Bus *b, void (*released)(void *userdata)) {
        assert(b && released);

        b->released = released;
        if (!b->broker || sd_bus_release_name_async(b->broker, NULL, b->options.name, on_released, b) < 0)
                released(b->options.userdata);
}

/* --- the private socket --- */

static int on_peer_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        peer_free(userdata);
        return 0;
}

static int on_rest(sd_event_source *source, void *userdata) {
        Peer *p = userdata;
        _cleanup_(sd_bus_unrefp) sd_bus *connection = sd_bus_ref(p->connection);

        /* One message at a time, which may be the end of the peer. */
        if (sd_bus_process(connection, NULL) > 0 && bus_of(connection))
                (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

/* Calls that came in one piece with the end of the handshake are in sd-bus's hands already: nothing more comes from the socket that would
 * make it look at them. */
static int on_peer_ready(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Peer *p = userdata;

        (void) sd_event_source_set_enabled(p->rest, SD_EVENT_ONESHOT);
        return 0;
}

static int match_local(Peer *p, const char *member, sd_bus_message_handler_t handler) {
        return sd_bus_match_signal_async(p->connection, NULL, "org.freedesktop.DBus.Local", NULL, "org.freedesktop.DBus.Local", member,
                                         handler, NULL, p);
}

static bool peer_is_one_too_many(const Bus *b, uid_t uid) {
        unsigned n = 0;
        Peer *p;

        if (b->n_peers >= BUS_PEERS_MAX)
                return true;
        if (uid == 0 || uid == geteuid())
                return false;
        LIST_FOREACH(p, &b->peers, link)
                n += p->uid == uid;
        return n >= BUS_PEERS_PER_USER_MAX;
}

static int setup_peer(Bus *b, Peer *p, int fd) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_new(&p->connection);
        if (r >= 0)
                r = sd_bus_set_fd(p->connection, fd, fd);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        r = sd_bus_set_server(p->connection, true, id);
        if (r >= 0)
                r = sd_bus_negotiate_fds(p->connection, true);
        /* Users are told apart by the socket's own credentials; who they say they are does not matter. */
        if (r >= 0)
                r = sd_bus_set_anonymous(p->connection, true);
        if (r >= 0)
                r = sd_bus_set_trusted(p->connection, true);
        if (r >= 0)
                r = sd_bus_set_connected_signal(p->connection, true);
        if (r >= 0)
                r = sd_bus_start(p->connection);
        if (r >= 0)
                r = sd_event_add_defer(b->options.event, &p->rest, on_rest, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->rest, SD_EVENT_OFF);
        return r < 0 ? r : sd_bus_attach_event(p->connection, b->options.event, SD_EVENT_PRIORITY_NORMAL);
}

static int add_peer(Bus *b, int fd) {
        _cleanup_(peer_freep) Peer *p = NULL;
        struct ucred cred = { .uid = (uid_t) -1 };
        socklen_t length = sizeof(cred);
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0 || peer_is_one_too_many(b, cred.uid)) {
                fd_close(fd);
                return -EUSERS;
        }
        p = new0(Peer, 1);
        if (!p) {
                fd_close(fd);
                return -ENOMEM;
        }
        p->uid = cred.uid;
        r = setup_peer(b, p, fd);
        if (r < 0)
                return r;
        p->bus = b; /* from here on its callbacks find it */
        LIST_INSERT_HEAD(&b->peers, p, link);
        b->n_peers++;

        r = add_objects(b, p->connection);
        if (r >= 0)
                r = match_local(p, "Disconnected", on_peer_lost);
        if (r >= 0)
                r = match_local(p, "Connected", on_peer_ready);
        if (r >= 0)
                r = bus_driver_add(p->connection);
        if (r >= 0)
                p = NULL;
        return r;
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *userdata) {
        Bus *b = userdata;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return 0;
        if (b->options.activity)
                b->options.activity(b->options.userdata);
        (void) add_peer(b, fd);
        return 0;
}

int bus_listen(Bus *b, int fd) {
        int r;

        assert(b && fd >= 0 && b->listen_fd < 0);

        b->listen_fd = fd;
        r = fd_set_nonblock(fd, true);
        return r < 0 ? r : sd_event_add_io(b->options.event, &b->listen_source, fd, EPOLLIN, on_connection, b);
}

/* --- changes --- */

static void announce(Bus *b, const Dirty *d) {
        Peer *p;

        /* An object that has gone meanwhile has said so; what changed on it is of no interest. */
        if (b->broker)
                (void) sd_bus_emit_properties_changed_strv(b->broker, d->path, d->interface, d->properties);
        LIST_FOREACH(p, &b->peers, link)
                (void) sd_bus_emit_properties_changed_strv(p->connection, d->path, d->interface, d->properties);
}

static int on_flush(sd_event_source *source, void *userdata) {
        Bus *b = userdata;
        Dirty *d;

        while ((d = STAILQ_FIRST(&b->dirty))) {
                STAILQ_REMOVE_HEAD(&b->dirty, link);
                announce(b, d);
                dirty_free(d);
        }
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
        Peer *p;

        if (b->broker)
                (void) sd_bus_emit_object_added(b->broker, path);
        LIST_FOREACH(p, &b->peers, link)
                (void) sd_bus_emit_object_added(p->connection, path);
}

void bus_removed(Bus *b, const char *path) {
        Dirty *d, *next;
        Peer *p;

        for (d = STAILQ_FIRST(&b->dirty); d; d = next) {
                next = STAILQ_NEXT(d, link);
                if (streq(d->path, path)) {
                        STAILQ_REMOVE(&b->dirty, d, Dirty, link);
                        dirty_free(d);
                }
        }
        if (b->broker)
                (void) sd_bus_emit_object_removed(b->broker, path);
        LIST_FOREACH(p, &b->peers, link)
                (void) sd_bus_emit_object_removed(p->connection, path);
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
        Peer *p;
        int r = 0;

        assert(b && path && interface && member && fill);

        /* In order: what changed before is told before. */
        (void) on_flush(NULL, b);
        if (b->broker)
                r = emit_one(b->broker, path, interface, member, fill, userdata);
        LIST_FOREACH(p, &b->peers, link)
                (void) emit_one(p->connection, path, interface, member, fill, userdata);
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
        b->listen_fd = -1;
        LIST_INIT(&b->peers);
        STAILQ_INIT(&b->dirty);
        LIST_INSERT_HEAD(&all, b, link);
        (void) sd_event_ref(b->options.event);

        r = sd_event_add_defer(b->options.event, &b->flush_source, on_flush, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->flush_source, SD_EVENT_OFF);
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
        while (!LIST_EMPTY(&b->peers))
                peer_free(LIST_FIRST(&b->peers));
        while ((d = STAILQ_FIRST(&b->dirty))) {
                STAILQ_REMOVE_HEAD(&b->dirty, link);
                dirty_free(d);
        }
        sd_event_source_disable_unref(b->listen_source);
        sd_event_source_disable_unref(b->flush_source);
        fd_close(b->listen_fd);
        if (b->broker)
                sd_bus_flush_close_unref(b->broker);
        sd_event_unref(b->options.event);
        LIST_REMOVE(b, link);
        free(b);
        return NULL;
}
