/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lockspace.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "resources.h"
#include "store.h"
#include "str.h"

/* The kernel tells of a closed file a moment before its locks go. */
#define SETTLE_USEC (20u * 1000)
#define SETTLE_AGAIN_USEC (1000u * 1000)
#define LOOKS 2u

DEFINE_ENUM(LockspaceState, lockspace_state, [LOCKSPACE_OPENING] = "opening", [LOCKSPACE_ACTIVE] = "active", [LOCKSPACE_LOST] = "lost",
            [LOCKSPACE_UNREACHABLE] = "unreachable")

struct Lockspace {
        const LockspaceContext *context;
        char *name, *path, *error;
        bool builtin, remote;
        unsigned n_looking;      /* looks under way */
        size_t told;             /* how many leases there were when that was last told */
        LockspaceState state;
        Resources resources;
        LeaseWorker *worker;
        int inotify;
        sd_event_source *events, *settle, *poll;
};

/* --- lifetime --- */

Lockspace *lockspace_free(Lockspace *l) {
        if (!l)
                return NULL;
        lease_worker_free(l->worker);
        sd_event_source_disable_unref(l->events);
        sd_event_source_disable_unref(l->settle);
        sd_event_source_disable_unref(l->poll);
        fd_close(l->inotify);
        resources_clear(&l->resources);
        free(l->name);
        free(l->path);
        free(l->error);
        free(l);
        return NULL;
}

const LockspaceContext *lockspace_context(const Lockspace *l) {
        return l->context;
}

const char *lockspace_name(const Lockspace *l) {
        return l->name;
}

const char *lockspace_path(const Lockspace *l) {
        return l->path;
}

bool lockspace_is_builtin(const Lockspace *l) {
        return l->builtin;
}

LockspaceState lockspace_state(const Lockspace *l) {
        return l->state;
}

const char *lockspace_error(const Lockspace *l) {
        return l->error ?: "";
}

size_t lockspace_leases(const Lockspace *l) {
        return resources_count_leases(&l->resources);
}

bool lockspace_is_busy(const Lockspace *l) {
        return l->resources.all || lease_worker_is_busy(l->worker);
}

/* Leases or requests have come or gone. */
static void update(Lockspace *l) {
        size_t n = lockspace_leases(l);

        if (n != l->told) {
                l->told = n;
                l->context->changed(l, l->context->userdata);
        }
        l->context->busy(l, l->context->userdata);
}

/* --- loss --- */

static void tell_lost(Lockspace *l, Resource *r, const char *why) {
        _cleanup_free_ char *resource = store_unescape(r->file);

        if (r->lost || !resource)
                return;
        r->lost = true;
        for (size_t i = 0; i < r->n; i++) {
                log_warning("the lease of %s on %s in lockspace %s is lost: %s", r->leases[i].name, r->leases[i].description ?: resource,
                            l->name, why);
                l->context->lost(l, resource, &r->leases[i], l->context->userdata);
        }
}

static void set_state(Lockspace *l, LockspaceState state, const char *error) {
        bool same = l->state == state && streq(lockspace_error(l), error);

        l->state = state;
        (void) free_and_strdup(&l->error, error);
        if (!same)
                l->context->changed(l, l->context->userdata);
}

/* --- looking after them --- */

static int arm_settle(Lockspace *l, uint64_t usec);

/* A look under way: results for what has changed meanwhile are old. */
typedef struct Look {
        Lockspace *lockspace;
        size_t n;
        struct {
                char *file;
                uint64_t generation;
        } items[LEASE_WORKER_FILES_MAX];
} Look;

static void look_free(Look *k) {
        for (size_t i = 0; i < k->n; i++)
                free(k->items[i].file);
        free(k);
}

static size_t count_ours(const Lockspace *l, const LeaseFound *found) {
        size_t n = 0;

        for (size_t i = 0; i < found->n; i++)
                n += streq_null(found->leases[i].host, l->context->host);
        return n;
}

static void take_look(Lockspace *l, Resource *r, const LeaseFound *found) {
        size_t before;

        if (fault_is_set(&found->why)) {
                tell_lost(l, r, fault_text(&found->why));
                if (found->why.error == ESTALE) /* the server has forgotten its locks, too */
                        resources_remove(&l->resources, r);
                return;
        }
        /* A server may give away what it has forgotten of us. */
        before = r->n;
        if (!r->closed && count_ours(l, found) < before)
                tell_lost(l, r, "somebody else got it from the file server");
        r->closed = r->closed && r->looks > 0;
        if (resource_set_leases(r, found->leases, found->n, l->context->host) < 0)
                return;
        if (r->n == 0)
                resources_remove(&l->resources, r);
        else if (found->misplaced) {
                tell_lost(l, r, "its lock file was removed or replaced");
                lease_worker_reopen(l->worker); /* perhaps the whole folder was, which nothing tells while it has an open file */
        } else
                r->lost = false;
}

static void on_looked(LeaseReply *reply, const Fault *why, void *userdata) {
        Look *k = userdata;
        Lockspace *l = k->lockspace;
        unsigned again = 0;

        l->n_looking--;
        for (size_t i = 0; i < k->n; i++) {
                Resource *r = resources_find(&l->resources, k->items[i].file);

                if (!r || (why && why->kind == FAULT_CANCELED))
                        continue;
                if (why)
                        tell_lost(l, r, fault_text(why));
                else if (r->generation == k->items[i].generation && i < reply->n_found && streq(reply->found[i].file, r->file))
                        take_look(l, r, &reply->found[i]);
        }
        look_free(k);
        RESOURCES_FOREACH(r, &l->resources)
                again = MAX(again, r->looks);
        if (again > 0 && !why)
                (void) arm_settle(l, again == LOOKS ? SETTLE_USEC : SETTLE_AGAIN_USEC);
        update(l);
}

static Look *new_look(Lockspace *l, const char *files[LEASE_WORKER_FILES_MAX], int anchors[LEASE_WORKER_FILES_MAX]) {
        Look *k = new0(Look, 1);

        if (!k)
                return NULL;
        k->lockspace = l;
        RESOURCES_FOREACH(r, &l->resources) {
                if (r->looks == 0 || k->n >= LEASE_WORKER_FILES_MAX)
                        continue;
                k->items[k->n].file = strdup(r->file);
                if (!k->items[k->n].file)
                        break;
                k->items[k->n].generation = r->generation;
                files[k->n] = r->file;
                anchors[k->n++] = r->anchor;
                r->looks--;
        }
        return k;
}

/* 0: there is nothing to look at. */
static int start_look(Lockspace *l) {
        const char *files[LEASE_WORKER_FILES_MAX];
        int anchors[LEASE_WORKER_FILES_MAX], r;
        Look *k = new_look(l, files, anchors);

        if (!k)
                return -ENOMEM;
        r = k->n > 0 ? lease_worker_look(l->worker, files, anchors, k->n, on_looked, k, NULL) : 0;
        if (r < 0 || k->n == 0) {
                look_free(k);
                return r;
        }
        l->n_looking++;
        return 1;
}

static int on_settle(sd_event_source *source, uint64_t usec, void *userdata) {
        Lockspace *l = userdata;
        int r;

        l->settle = sd_event_source_disable_unref(l->settle);
        r = l->n_looking > 0 ? 0 : start_look(l); /* the one under way arms this again */
        if (r < 0)
                (void) log_warning_errno(r, "leases in %s can't be looked at: %m", l->path);
        return 0;
}

static int arm_settle(Lockspace *l, uint64_t usec) {
        if (l->settle)
                return 0;
        return sd_event_add_time_relative(l->context->event, &l->settle, CLOCK_MONOTONIC, usec, 0, on_settle, l);
}

static void want_look(Lockspace *l, Resource *r) {
        r->looks = LOOKS;
        (void) arm_settle(l, SETTLE_USEC);
}

static void want_look_at_all(Lockspace *l) {
        RESOURCES_FOREACH(r, &l->resources)
                want_look(l, r);
}

/* --- what tells of changes --- */

static void take_event(Lockspace *l, const struct inotify_event *e) {
        Resource *r = e->len > 0 ? resources_find(&l->resources, e->name) : NULL;

        if (r) {
                r->closed = true;
                want_look(l, r);
        } else if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_Q_OVERFLOW)) {
                lease_worker_reopen(l->worker);
                want_look_at_all(l);
        }
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        char buffer[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t n = read(fd, buffer, sizeof(buffer));
        Lockspace *l = userdata;

        for (char *p = buffer; n > 0 && p < buffer + n;) {
                const struct inotify_event *e = (const struct inotify_event *) p;

                take_event(l, e);
                p += sizeof(*e) + e->len;
        }
        return 0;
}

/* Nothing tells what a server does, nor that a folder has come back. */
static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        Lockspace *l = userdata;

        (void) sd_event_source_set_time_relative(source, l->context->settings->check_interval_usec);
        if (l->resources.all && (l->remote || l->state != LOCKSPACE_ACTIVE)) {
                lease_worker_reopen(l->worker);
                want_look_at_all(l);
        }
        return 0;
}

static int arm_poll(Lockspace *l) {
        uint64_t interval = l->context->settings->check_interval_usec;
        int r;

        if (l->poll)
                return 0;
        r = sd_event_add_time_relative(l->context->event, &l->poll, CLOCK_MONOTONIC, interval, interval / 10, on_poll, l);
        return r < 0 ? r : sd_event_source_set_enabled(l->poll, SD_EVENT_ON);
}

static void on_opened(bool remote, const Fault *why, void *userdata) {
        Lockspace *l = userdata;

        if (!why) {
                l->remote = remote;
                set_state(l, LOCKSPACE_ACTIVE, "");
        } else if (why->kind != FAULT_CANCELED) {
                set_state(l, why->kind == FAULT_TIMEOUT ? LOCKSPACE_UNREACHABLE : LOCKSPACE_LOST, fault_text(why));
                RESOURCES_FOREACH(r, &l->resources)
                        tell_lost(l, r, fault_text(why));
        }
        if (l->remote || why)
                (void) arm_poll(l);
        else
                l->poll = sd_event_source_disable_unref(l->poll);
}

int lockspace_new(const LockspaceContext *c, const char *name, const char *path, bool builtin, Lockspace **ret) {
        _cleanup_(lockspace_freep) Lockspace *l = NULL;
        int r;

        assert(c && name && path && ret);

        l = new0(Lockspace, 1);
        if (!l)
                return -ENOMEM;
        *l = (Lockspace) { .context = c, .name = strdup(name), .path = strdup(path), .builtin = builtin, .inotify = -1 };
        if (!l->name || !l->path)
                return -ENOMEM;
        r = resources_init(&l->resources, name);
        if (r < 0)
                return r;
        l->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (l->inotify < 0)
                return -errno;
        r = sd_event_add_io(c->event, &l->events, l->inotify, EPOLLIN, on_events, l);
        if (r < 0)
                return r;
        const LeaseWorkerOptions options = {
                .event = c->event, .path = l->path, .make = builtin, .inotify = l->inotify, .deadline_usec = &c->settings->deadline_usec,
                .opened = on_opened, .userdata = l,
        };
        r = lease_worker_new(&options, &l->worker);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

/* --- loading --- */

static void on_loaded(LeaseReply *reply, const Fault *why, void *userdata) {
        Lockspace *l = userdata;

        for (size_t i = 0; reply && i < reply->n_found; i++) {
                LeaseFound *found = &reply->found[i];
                Resource *r = resources_find(&l->resources, found->file);

                if (fault_is_set(&found->why))
                        log_warning("%s", fault_text(&found->why));
                if (r || found->anchor < 0 || resources_put(&l->resources, found->file, TAKE_FD(found->anchor), &r) < 0)
                        continue;
                (void) resource_set_leases(r, found->leases, found->n, l->context->host);
                if (r->n == 0)
                        resources_remove(&l->resources, r); /* another host's */
        }
        if (why)
                log_warning("lockspace %s: %s", l->name, fault_text(why));
        update(l);
}

int lockspace_load(Lockspace *l) {
        int r;

        assert(l);

        r = resources_restore(&l->resources);
        if (r < 0)
                return r;
        RESOURCES_FOREACH(known, &l->resources)
                known->looks = 1;
        do /* before anybody's request */
                r = start_look(l);
        while (r > 0);
        return r < 0 ? r : lease_worker_list(l->worker, on_loaded, l, NULL);
}

/* --- giving --- */

typedef struct Giving {
        Lockspace *lockspace;
        char *file;
        Lease lease;
        int fd;                  /* to be transferred; -1: acquired */
        LeaseDone done;
        void *userdata;
} Giving;

static Giving *giving_free(Giving *g) {
        if (!g)
                return NULL;
        lease_clear(&g->lease);
        fd_close(g->fd);
        free(g->file);
        free(g);
        return NULL;
}
DEFINE_CLEANUP(Giving *, giving_free)

static int giving_new(Lockspace *l, const char *resource, const Lease *lease, LeaseDone done, void *userdata, Giving **ret, Fault *f) {
        _cleanup_(giving_freep) Giving *g = new0(Giving, 1);
        int r;

        if (!g)
                return fault_oom(f);
        *g = (Giving) { .lockspace = l, .fd = -1, .done = done, .userdata = userdata };
        r = resource_file_name(resource, &g->file, f);
        if (r < 0)
                return r;
        if (lease_copy(lease, &g->lease) < 0)
                return fault_oom(f);
        *ret = TAKE_PTR(g);
        return 0;
}

static void add_owners(Text *t, const LeaseFound *found) {
        size_t shown = MIN(found->n, (size_t) 3);

        for (size_t i = 0; i < shown; i++) {
                _cleanup_free_ char *owner = lease_owner_text(&found->leases[i]);

                text_addf(t, "%s%s", i == 0 ? " by " : ", ", owner ?: "?");
        }
        if (found->n > shown)
                text_addf(t, " and %zu more", found->n - shown);
        if (found->n == 0)
                text_add(t, " by a program that does not say who it is");
}

static int held_fault(const Giving *g, const LeaseReply *reply, Fault *f) {
        const LeaseFound none = {}, *found = reply->n_found > 0 ? &reply->found[0] : &none;
        _cleanup_free_ char *resource = store_unescape(g->file), *who = NULL;
        bool shared = found->n > 0 && found->leases[0].mode == LEASE_SHARED;
        Text t = TEXT_INIT;

        add_owners(&t, found);
        who = text_finish(&t);
        fault_set(f, FAULT_LEASE_HELD, EBUSY, "%s is in use%s%s", g->lease.description ?: resource ?: "it", shared ? ", shared," : "", who ?: "");
        if (found->misplaced)
                fault_hint(f, "its lock file was removed or replaced meanwhile; it is free again when they end");
        return -EBUSY;
}

static int remember(Giving *g, LeaseReply *reply) {
        Resources *all = &g->lockspace->resources;
        Resource *r = resources_find(all, g->file);
        bool moved = r && r->lost;
        int e;

        e = resources_put(all, g->file, TAKE_FD(reply->anchor), &r);
        if (e < 0)
                return e;
        if (moved) /* those of the old file have ended, or this one would not have been given */
                (void) resource_set_leases(r, NULL, 0, NULL);
        r->lost = false;
        return resource_add_lease(r, &g->lease, g->lockspace->context->host);
}

static void on_acquired(LeaseReply *reply, const Fault *why, void *userdata) {
        _cleanup_(giving_freep) Giving *g = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = -EIO;

        if (why)
                (void) fault_copy(&f, why);
        else if (reply->held)
                r = held_fault(g, reply, &f);
        else
                r = reply->lease < 0 || reply->anchor < 0 ? -EBADMSG : remember(g, reply);
        if (r < 0 && !fault_is_set(&f))
                fault_set(&f, FAULT_LOCKSPACE, -r, "the lease can't be kept: %s", strerror(-r));
        g->done(fault_is_set(&f) ? &(int) { -1 } : &reply->lease, fault_is_set(&f) ? &f : NULL, g->userdata);
        update(g->lockspace);
}

int lockspace_acquire(Lockspace *l, const char *resource, const Lease *lease, LeaseDone done, void *userdata, Fault *f) {
        _cleanup_(giving_freep) Giving *g = NULL;
        Resource *known;
        int r;

        assert(l && resource && lease && done);

        r = giving_new(l, resource, lease, done, userdata, &g, f);
        if (r < 0)
                return r;
        known = resources_find(&l->resources, g->file);
        r = lease_worker_acquire(l->worker, g->file, lease, known ? known->anchor : -1, on_acquired, g, f);
        if (r >= 0)
                TAKE_PTR(g);
        return r;
}

static void on_transferred(LeaseReply *reply, const Fault *why, void *userdata) {
        _cleanup_(giving_freep) Giving *g = userdata;
        Resource *r = resources_find(&g->lockspace->resources, g->file);
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (why)
                (void) fault_copy(&f, why);
        else if (reply->held)
                (void) held_fault(g, reply, &f);
        g->done(fault_is_set(&f) ? &(int) { -1 } : &g->fd, fault_is_set(&f) ? &f : NULL, g->userdata);
        if (r)
                want_look(g->lockspace, r); /* the new owner is in there */
        update(g->lockspace);
}

int lockspace_transfer(Lockspace *l, const char *resource, const Lease *lease, int fd, LeaseDone done, void *userdata, Fault *f) {
        _cleanup_(giving_freep) Giving *g = NULL;
        int r;

        assert(l && resource && lease && fd >= 0 && done);

        r = giving_new(l, resource, lease, done, userdata, &g, f);
        if (r < 0)
                return r;
        g->fd = fd_copy(fd);
        if (g->fd < 0)
                return fault_set(f, FAULT_LIMIT, -g->fd, "the lease can't be copied: %s", strerror(-g->fd));
        r = lease_worker_transfer(l->worker, g->file, lease, g->fd, on_transferred, g, f);
        if (r >= 0)
                TAKE_PTR(g);
        return r;
}

/* --- listing --- */

typedef struct Listing {
        Lockspace *lockspace;
        LeaseFunc found;
        ListDone done;
        void *userdata;
} Listing;

static void list_all(const Listing *t, const char *file, const Lease *leases, size_t n) {
        _cleanup_free_ char *resource = store_unescape(file);

        for (size_t i = 0; resource && i < n; i++)
                t->found(t->lockspace, resource, &leases[i], t->userdata);
}

static bool is_found(const LeaseReply *reply, const char *file) {
        for (size_t i = 0; i < reply->n_found; i++)
                if (streq(reply->found[i].file, file) && !fault_is_set(&reply->found[i].why))
                        return true;
        return false;
}

static void on_listed(LeaseReply *reply, const Fault *why, void *userdata) {
        Listing *t = userdata;

        for (size_t i = 0; reply && i < reply->n_found; i++)
                list_all(t, reply->found[i].file, reply->found[i].leases, reply->found[i].n);
        /* What is not in the folder any more, or can't be seen. */
        RESOURCES_FOREACH(r, &t->lockspace->resources)
                if (!reply || (r->lost && !is_found(reply, r->file)))
                        list_all(t, r->file, r->leases, r->n);
        t->done(t->lockspace, why, t->userdata);
        update(t->lockspace);
        free(t);
}

int lockspace_list(Lockspace *l, LeaseFunc found, ListDone done, void *userdata, Fault *f) {
        Listing *t = new0(Listing, 1);
        int r;

        assert(l && found && done);

        if (!t)
                return fault_oom(f);
        *t = (Listing) { l, found, done, userdata };
        r = lease_worker_list(l->worker, on_listed, t, f);
        if (r < 0)
                free(t);
        return r;
}
