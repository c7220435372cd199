/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-auth.h"
#include "bus-calls.h"
#include "bus-driver.h"
#include "bus-error.h"
#include "bus-turns.h"
#include "clock.h"
#include "fd.h"
#include "log.h"
#include "loop.h"
#include "mem.h"
#include "str.h"

typedef struct Peer {
        Bus *bus;
        sd_bus *connection;
        sd_event_source *resume;     /* it is not listened to until then … */
        bool rests;                  /* … or until there is nothing else to do */
        uint64_t since;              /* it has called while there was always something to do; 0: it has not */
        uid_t uid;
        bool fresh;                 /* has not said yet how it authenticates itself */
        bool stranger;              /* neither root nor the daemon's own user: what happens here is not told */
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
        BusTurns *turns;
        BusCalls *calls;
        int listen_fd;
        sd_event_source *listen_source, *flush_source, *fresh_source, *released_source, *idle_source;
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
                if (p->bus->calls)
                        bus_calls_forget(p->bus->calls, p->connection);
        }
        sd_event_source_disable_unref(p->resume);
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

static uint64_t unread(Peer *p) {
        uint64_t n = 0;

        (void) sd_bus_get_n_queued_write(p->connection, &n);
        return n;
}

static int resume_peer(Peer *p) {
        p->resume = sd_event_source_disable_unref(p->resume);
        p->since = 0;
        p->rests = false;
        return sd_bus_attach_event(p->connection, p->bus->options.event, SD_EVENT_PRIORITY_NORMAL);
}

static int on_peer_reads(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        return resume_peer(userdata);
}

static int on_rested(sd_event_source *source, uint64_t usec, void *userdata) {
        return resume_peer(userdata);
}

/* Runs when there is nothing at all to do. */
static int on_idle(sd_event_source *source, void *userdata) {
        Bus *b = userdata;
        Peer *p;

        LIST_FOREACH(p, &b->peers, link) {
                p->since = 0;
                if (p->rests)
                        (void) resume_peer(p);
        }
        return 0;
}

/* Whether it has had us work for longer than BUS_WORK_USEC. */
static bool is_busy(Peer *p) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (p->since == 0)
                p->since = now;
        (void) sd_event_source_set_enabled(p->bus->idle_source, SD_EVENT_ONESHOT);
        return now > p->since + BUS_WORK_USEC;
}

/* Who does not take its answers is not listened to, they would pile up here; nor for a moment who has us work all the time. */
static void pause_peer(Bus *b, sd_bus *connection) {
        bool full, busy;
        Peer *p;
        int r;

        LIST_FOREACH(p, &b->peers, link)
                if (p->connection == connection)
                        break;
        if (!p || p->resume)
                return;
        busy = is_busy(p);
        full = unread(p) >= BUS_PEER_ANSWERS_MAX;
        if (!full && !busy)
                return;
        /* One descriptor can't be watched twice. */
        (void) sd_bus_detach_event(connection);
        if (full)
                r = sd_event_add_io(b->options.event, &p->resume, sd_bus_get_fd(connection), EPOLLOUT, on_peer_reads, p);
        else
                r = sd_event_add_time_relative(b->options.event, &p->resume, CLOCK_MONOTONIC, BUS_REST_USEC, 1, on_rested, p);
        p->rests = !full;
        if (r < 0)
                (void) resume_peer(p);
}

static int on_any_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *b = userdata;

        if (b->options.activity)
                b->options.activity(b->options.userdata);
        if (sd_bus_message_get_interface(m) && sd_bus_message_get_member(m))
                loop_note(sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
        if (sd_bus_message_get_bus(m) == b->broker)
                return bus_turns_take(b->turns, m);
        pause_peer(b, sd_bus_message_get_bus(m));
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
        r = sd_bus_attach_event(connection, b->options.event, BUS_TURNS_PRIORITY);
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
        (void) sd_event_source_set_enabled(b->listen_source, SD_EVENT_OFF);
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
        Peer *p;

        LIST_FOREACH(p, &b->peers, link)
                if (unread(p) > 0)
                        return true;
        return b->broker && sd_bus_get_n_queued_write(b->broker, &n) >= 0 && n > 0;
}

/* --- the private socket --- */

static int on_peer_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        peer_free(userdata);
        return 0;
}

static bool is_stranger(uid_t uid) {
        return uid != 0 && uid != geteuid();
}

static bool peer_is_one_too_many(const Bus *b, uid_t uid) {
        unsigned n = 0, n_strangers = 0;
        Peer *p;

        if (b->n_peers >= BUS_PEERS_MAX)
                return true;
        if (!is_stranger(uid))
                return false;
        LIST_FOREACH(p, &b->peers, link) {
                n += p->uid == uid;
                n_strangers += p->stranger;
        }
        return n >= BUS_STRANGERS_PER_USER_MAX || n_strangers >= BUS_STRANGERS_MAX;
}

/* Programs of VMs are strangers, who must not learn of other VMs: they get no answer to anything else, be it a property. */
static int on_stranger_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Bus *b = userdata;
        const char *path = sd_bus_message_get_path(m), *member = sd_bus_message_get_member(m);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!sd_bus_message_is_method_call(m, NULL, NULL) || bus_driver_is_for(m) ||
            (b->options.for_strangers && streq_null(path, b->options.root) && streq_null(member, b->options.for_strangers)))
                return 0;
        r = fault_set(&f, FAULT_ACCESS_DENIED, EACCES, "%s() is not allowed: this socket is for root and for the daemon's own user", member);
        fault_hint(&f, "everybody else is served on the message bus");
        (void) bus_reply_fault(m, &f, r);
        return 1;
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
                r = sd_bus_start(p->connection);
        return r < 0 ? r : sd_bus_attach_event(p->connection, b->options.event, SD_EVENT_PRIORITY_NORMAL);
}

static Peer *find_fresh(const Bus *b, bool ready) {
        Peer *p;

        LIST_FOREACH(p, &b->peers, link)
                if (p->fresh && (!ready || sd_bus_is_ready(p->connection) > 0))
                        return p;
        return NULL;
}

/* What sd-bus reads with the end of the authentication is not more than this. */
#define FRESH_ROUNDS 64u

/* A call that came in one piece with the end of the authentication lies in sd-bus' buffer, where nothing tells the loop of it. */
static int on_round(sd_event_source *source, void *userdata) {
        Bus *b = userdata;
        Peer *p;

        while ((p = find_fresh(b, true))) {
                _cleanup_(sd_bus_unrefp) sd_bus *connection = sd_bus_ref(p->connection);

                p->fresh = false;
                /* The peer may go with it; what has come since is the loop's again. */
                for (unsigned i = 0; i < FRESH_ROUNDS && sd_bus_process(connection, NULL) > 0; i++)
                        ;
        }
        return find_fresh(b, false) ? 0 : sd_event_source_set_enabled(source, SD_EVENT_OFF);
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
        p->stranger = is_stranger(cred.uid);
        r = setup_peer(b, p, fd);
        if (r < 0)
                return r;
        p->bus = b; /* from here on its callbacks find it */
        LIST_INSERT_HEAD(&b->peers, p, link);
        b->n_peers++;
        p->fresh = true;
        (void) sd_event_source_set_enabled(b->fresh_source, SD_EVENT_ON);

        r = add_objects(b, p->connection);
        if (r >= 0)
                r = sd_bus_match_signal_async(p->connection, NULL, "org.freedesktop.DBus.Local", NULL, "org.freedesktop.DBus.Local",
                                              "Disconnected", on_peer_lost, NULL, p);
        if (r >= 0)
                r = bus_driver_add(p->connection);
        if (r >= 0 && p->stranger)
                r = sd_bus_add_filter(p->connection, NULL, on_stranger_message, b);
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

#define FOREACH_LISTENER(p, b) LIST_FOREACH(p, &(b)->peers, link) if (!(p)->stranger)

/* Signals go to everybody; who takes none for so long has gone, as far as anybody can tell. */
static void drop_unread(Bus *b) {
        Peer *p, *next;

        for (p = LIST_FIRST(&b->peers); p; p = next) {
                next = LIST_NEXT(p, link);
                if (unread(p) > BUS_PEER_UNREAD_MAX) {
                        log_notice("a client of the private socket has not read the last %u messages: it is disconnected", BUS_PEER_UNREAD_MAX);
                        peer_free(p);
                }
        }
}

static void announce(Bus *b, const Dirty *d) {
        Peer *p;

        /* An object that has gone meanwhile has said so; what changed on it is of no interest. */
        if (b->broker)
                (void) sd_bus_emit_properties_changed_strv(b->broker, d->path, d->interface, d->properties);
        FOREACH_LISTENER(p, b)
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
        if (source) /* not in the middle of anything */
                drop_unread(b);
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
        FOREACH_LISTENER(p, b)
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
        FOREACH_LISTENER(p, b)
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
        if (!LIST_EMPTY(&b->peers))
                (void) sd_event_source_set_enabled(b->flush_source, SD_EVENT_ONESHOT);
        if (b->broker)
                r = emit_one(b->broker, path, interface, member, fill, userdata);
        FOREACH_LISTENER(p, b)
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
                r = sd_event_add_post(b->options.event, &b->fresh_source, on_round, b);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->fresh_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(b->options.event, &b->released_source, on_all_handled, b);
        if (r >= 0)
                r = sd_event_source_set_priority(b->released_source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->released_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(b->options.event, &b->idle_source, on_idle, b);
        if (r >= 0)
                r = sd_event_source_set_priority(b->idle_source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(b->idle_source, SD_EVENT_OFF);
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
        while (!LIST_EMPTY(&b->peers))
                peer_free(LIST_FIRST(&b->peers));
        while ((d = STAILQ_FIRST(&b->dirty))) {
                STAILQ_REMOVE_HEAD(&b->dirty, link);
                dirty_free(d);
        }
        sd_event_source_disable_unref(b->listen_source);
        sd_event_source_disable_unref(b->flush_source);
        sd_event_source_disable_unref(b->fresh_source);
        sd_event_source_disable_unref(b->released_source);
        sd_event_source_disable_unref(b->idle_source);
        fd_close(b->listen_fd);
        if (b->broker)
                sd_bus_flush_close_unref(b->broker);
        sd_event_unref(b->options.event);
        LIST_REMOVE(b, link);
        free(b);
        return NULL;
}
