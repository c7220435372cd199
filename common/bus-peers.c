/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-peers.h"

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
#include "mem.h"
#include "str.h"

struct BusPeer {
        BusPeers *all;
        sd_bus *connection;
        sd_event_source *resume;     /* it is not listened to until then … */
        bool rests;                  /* … or until there is nothing else to do */
        uint64_t since;              /* it has called while there was always something to do; 0: it has not */
        uid_t uid;
        bool fresh;                 /* has not said yet how it authenticates itself */
        bool stranger;              /* neither root nor the daemon's own user: what happens here is not told */
        LIST_ENTRY(BusPeer) link;
};

struct BusPeers {
        Bus *bus;
        const BusOptions *options;
        int listen_fd;
        sd_event_source *listen_source, *fresh_source, *idle_source;
        LIST_HEAD(, BusPeer) peers;
        unsigned n_peers;
};

static BusPeer *peer_free(BusPeer *p) {
        if (!p)
                return NULL;
        if (p->all) {
                LIST_REMOVE(p, link);
                p->all->n_peers--;
                if (p->all->options->peer_gone)
                        p->all->options->peer_gone(p->connection, p->all->options->userdata);
                if (bus_calls_of(p->all->bus))
                        bus_calls_forget(bus_calls_of(p->all->bus), p->connection);
        }
        sd_event_source_disable_unref(p->resume);
        sd_bus_close_unref(p->connection);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(BusPeer *, peer_free)

static BusPeer *find_peer(const BusPeers *s, const sd_bus *connection) {
        BusPeer *p;

        LIST_FOREACH(p, &s->peers, link)
                if (p->connection == connection)
                        return p;
        return NULL;
}

bool bus_peers_have(const BusPeers *s, const sd_bus *connection) {
        return find_peer(s, connection);
}

bool bus_peers_any(const BusPeers *s) {
        return !LIST_EMPTY(&s->peers);
}

/* --- who is listened to --- */

static uint64_t unread(BusPeer *p) {
        uint64_t n = 0;

        (void) sd_bus_get_n_queued_write(p->connection, &n);
        return n;
}

bool bus_peers_unwritten(const BusPeers *s) {
        BusPeer *p;

        LIST_FOREACH(p, &s->peers, link)
                if (unread(p) > 0)
                        return true;
        return false;
}

static int resume_peer(BusPeer *p) {
        p->resume = sd_event_source_disable_unref(p->resume);
        p->since = 0;
        p->rests = false;
        return sd_bus_attach_event(p->connection, p->all->options->event, SD_EVENT_PRIORITY_NORMAL);
}

static int on_peer_reads(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        return resume_peer(userdata);
}

static int on_rested(sd_event_source *source, uint64_t usec, void *userdata) {
        return resume_peer(userdata);
}

/* Runs when there is nothing at all to do. */
static int on_idle(sd_event_source *source, void *userdata) {
        BusPeers *s = userdata;
        BusPeer *p;

        LIST_FOREACH(p, &s->peers, link) {
                p->since = 0;
                if (p->rests)
                        (void) resume_peer(p);
        }
        return 0;
}

/* Whether it has had us work for longer than BUS_WORK_USEC. */
static bool is_busy(BusPeer *p) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (p->since == 0)
                p->since = now;
        (void) sd_event_source_set_enabled(p->all->idle_source, SD_EVENT_ONESHOT);
        return now > p->since + BUS_WORK_USEC;
}

/* Who does not take its answers is not listened to, they would pile up here; nor for a moment who has us work all the time. */
void bus_peers_heard(BusPeers *s, sd_bus *connection) {
        BusPeer *p = find_peer(s, connection);
        bool full, busy;
        int r;

        if (!p || p->resume)
                return;
        busy = is_busy(p);
        full = unread(p) >= BUS_PEER_ANSWERS_MAX;
        if (!full && !busy)
                return;
        /* One descriptor can't be watched twice. */
        (void) sd_bus_detach_event(connection);
        if (full)
                r = sd_event_add_io(s->options->event, &p->resume, sd_bus_get_fd(connection), EPOLLOUT, on_peer_reads, p);
        else
                r = sd_event_add_time_relative(s->options->event, &p->resume, CLOCK_MONOTONIC, BUS_REST_USEC, 1, on_rested, p);
        p->rests = !full;
        if (r < 0)
                (void) resume_peer(p);
}

/* --- who is let in --- */

static int on_peer_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        peer_free(userdata);
        return 0;
}

static bool is_stranger(uid_t uid) {
        return uid != 0 && uid != geteuid();
}

static bool is_one_too_many(const BusPeers *s, uid_t uid) {
        unsigned n = 0, n_strangers = 0;
        BusPeer *p;

        if (s->n_peers >= BUS_PEERS_MAX)
                return true;
        if (!is_stranger(uid))
                return false;
        LIST_FOREACH(p, &s->peers, link) {
                n += p->uid == uid;
                n_strangers += p->stranger;
        }
        return n >= BUS_STRANGERS_PER_USER_MAX || n_strangers >= BUS_STRANGERS_MAX;
}

/* Programs of VMs are strangers, who must not learn of other VMs: they get no answer to anything else, be it a property. */
static int on_stranger_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const BusPeers *s = userdata;
        const char *path = sd_bus_message_get_path(m), *member = sd_bus_message_get_member(m);
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!sd_bus_message_is_method_call(m, NULL, NULL) || bus_driver_is_for(m) ||
            (s->options->for_strangers && streq_null(path, s->options->root) && streq_null(member, s->options->for_strangers)))
                return 0;
        r = fault_set(&f, FAULT_ACCESS_DENIED, EACCES, "%s() is not allowed: this socket is for root and for the daemon's own user", member);
        fault_hint(&f, "everybody else is served on the message bus");
        (void) bus_reply_fault(m, &f, r);
        return 1;
}

static int setup_peer(BusPeers *s, BusPeer *p, int fd) {
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
        return r < 0 ? r : sd_bus_attach_event(p->connection, s->options->event, SD_EVENT_PRIORITY_NORMAL);
}

static BusPeer *find_fresh(const BusPeers *s, bool ready) {
        BusPeer *p;

        LIST_FOREACH(p, &s->peers, link)
                if (p->fresh && (!ready || sd_bus_is_ready(p->connection) > 0))
                        return p;
        return NULL;
}

/* What sd-bus reads with the end of the authentication is not more than this. */
#define FRESH_ROUNDS 64u

/* A call that came in one piece with the end of the authentication lies in sd-bus' buffer, where nothing tells the loop of it. */
static int on_round(sd_event_source *source, void *userdata) {
        BusPeers *s = userdata;
        BusPeer *p;

        while ((p = find_fresh(s, true))) {
                _cleanup_(sd_bus_unrefp) sd_bus *connection = sd_bus_ref(p->connection);

                p->fresh = false;
                /* The peer may go with it; what has come since is the loop's again. */
                for (unsigned i = 0; i < FRESH_ROUNDS && sd_bus_process(connection, NULL) > 0; i++)
                        ;
        }
        return find_fresh(s, false) ? 0 : sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static int add_peer(BusPeers *s, int fd) {
        _cleanup_(peer_freep) BusPeer *p = NULL;
        struct ucred cred = { .uid = (uid_t) -1 };
        socklen_t length = sizeof(cred);
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0 || is_one_too_many(s, cred.uid)) {
                fd_close(fd);
                return -EUSERS;
        }
        p = new0(BusPeer, 1);
        if (!p) {
                fd_close(fd);
                return -ENOMEM;
        }
        p->uid = cred.uid;
        p->stranger = is_stranger(cred.uid);
        r = setup_peer(s, p, fd);
        if (r < 0)
                return r;
        p->all = s; /* from here on its callbacks find it */
        LIST_INSERT_HEAD(&s->peers, p, link);
        s->n_peers++;
        p->fresh = true;
        (void) sd_event_source_set_enabled(s->fresh_source, SD_EVENT_ON);

        r = bus_add_objects(s->bus, p->connection);
        if (r >= 0)
                r = sd_bus_match_signal_async(p->connection, NULL, "org.freedesktop.DBus.Local", NULL, "org.freedesktop.DBus.Local",
                                              "Disconnected", on_peer_lost, NULL, p);
        if (r >= 0)
                r = bus_driver_add(p->connection);
        if (r >= 0 && p->stranger)
                r = sd_bus_add_filter(p->connection, NULL, on_stranger_message, s);
        if (r >= 0)
                p = NULL;
        return r;
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *userdata) {
        BusPeers *s = userdata;
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
                return 0;
        if (s->options->activity)
                s->options->activity(s->options->userdata);
        (void) add_peer(s, fd);
        return 0;
}

void bus_peers_close(BusPeers *s) {
        (void) sd_event_source_set_enabled(s->listen_source, SD_EVENT_OFF);
}

int bus_peers_listen(BusPeers *s, int fd) {
        int r;

        assert(s && fd >= 0 && s->listen_fd < 0);

        s->listen_fd = fd;
        r = fd_set_nonblock(fd, true);
        return r < 0 ? r : sd_event_add_io(s->options->event, &s->listen_source, fd, EPOLLIN, on_connection, s);
}

/* --- who is told --- */

sd_bus *bus_peers_next(const BusPeers *s, BusPeer **at) {
        do
                *at = *at ? LIST_NEXT(*at, link) : LIST_FIRST(&s->peers);
        while (*at && (*at)->stranger);
        return *at ? (*at)->connection : NULL;
}

void bus_peers_drop_unread(BusPeers *s) {
        BusPeer *p, *next;

        for (p = LIST_FIRST(&s->peers); p; p = next) {
                next = LIST_NEXT(p, link);
                if (unread(p) > BUS_PEER_UNREAD_MAX) {
                        log_notice("a client of the private socket has not read the last %u messages: it is disconnected", BUS_PEER_UNREAD_MAX);
                        peer_free(p);
                }
        }
}

/* --- life --- */

int bus_peers_new(Bus *b, const BusOptions *options, BusPeers **ret) {
        _cleanup_(bus_peers_freep) BusPeers *s = new0(BusPeers, 1);
        int r;

        if (!s)
                return -ENOMEM;
        s->bus = b;
        s->options = options;
        s->listen_fd = -1;
        LIST_INIT(&s->peers);
        r = sd_event_add_post(options->event, &s->fresh_source, on_round, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->fresh_source, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(options->event, &s->idle_source, on_idle, s);
        if (r >= 0)
                r = sd_event_source_set_priority(s->idle_source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->idle_source, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

BusPeers *bus_peers_free(BusPeers *s) {
        if (!s)
                return NULL;
        while (!LIST_EMPTY(&s->peers))
                peer_free(LIST_FIRST(&s->peers));
        sd_event_source_disable_unref(s->listen_source);
        sd_event_source_disable_unref(s->fresh_source);
        sd_event_source_disable_unref(s->idle_source);
        fd_close(s->listen_fd);
        free(s);
        return NULL;
}
