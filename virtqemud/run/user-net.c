/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "user-net.h"

#include <unistd.h>

#include "../device/interface.h"
#include "child.h"
#include "fd.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "str.h"
#include "unit.h"

#define PROGRAM "/usr/bin/passt"
#define ENDING_USEC (1000u * 1000)

typedef struct UserNet {
        UserNets *nets;
        char *device;            /* "net0" */
        int socket;
        char *unit;
        UnitCall *call;
        UnitGone *gone;
        Child *child;
        sd_event_source *ended;
} UserNet;

struct UserNets {
        UserNets *next;          /* of interfaces that were plugged in later */
        Domain *domain;
        const DomainDef *live;   /* while they are started */
        UserNet *items;
        size_t n, n_running;
        sd_event_source *defer;
        UserNetsDone done;       /* NULL once it was called */
        void *userdata;
};

UserNets *user_nets_free(UserNets *u) {
        if (!u)
                return NULL;
        for (size_t i = 0; i < u->n; i++) {
                UserNet *n = &u->items[i];

                unit_call_free(n->call);
                unit_gone_free(n->gone);
                child_release(n->child);
                sd_event_source_disable_unref(n->ended);
                fd_close(n->socket);
                free(n->device);
                free(n->unit);
        }
        sd_event_source_disable_unref(u->defer);
        user_nets_free(u->next);
        free(u->items);
        free(u);
        return NULL;
}

static void finish(UserNets *u, const Fault *f) {
        UserNetsDone done = TAKE_PTR(u->done);

        if (done)
                done(f, u->userdata);
}

/* --- once it runs --- */

static int on_grace_over(sd_event_source *source, uint64_t usec, void *userdata) {
        UserNet *n = userdata;

        (void) domain_warn(n->nets->domain, "interface %s has no network any more: passt has ended, its log tells why (%s)", n->device,
                           n->unit ?: "in the log of virtqemud");
        return 0;
}

/* When QEMU ends so does passt, and we may hear of it first: all this is freed within that time. */
static void ended(UserNet *n) {
        (void) sd_event_add_time_relative(n->nets->domain->manager->event, &n->ended, CLOCK_MONOTONIC, ENDING_USEC, 0, on_grace_over, n);
}

static void on_unit_gone(void *userdata) {
        UserNet *n = userdata;

        n->gone = unit_gone_free(n->gone);
        ended(n);
}

static void on_child_ended(Child *c, int status, void *userdata) {
        UserNet *n = userdata;

        n->child = child_free(n->child);
        ended(n);
}

static void one_runs(UserNet *n) {
        UserNets *u = n->nets;

        n->socket = fd_close(n->socket); /* QEMU's end of the connection is now QEMU's end of passt */
        if (++u->n_running == u->n)
                finish(u, NULL);
}

/* --- starting --- */

static void on_unit_started(const Fault *why, void *userdata) {
        UserNet *n = userdata;
        UserNets *u = n->nets;
        int r;

        n->call = unit_call_free(n->call);
        if (why) {
                finish(u, why);
                return;
        }
        r = unit_gone_watch(u->domain->manager->bus, n->unit, on_unit_gone, n, &n->gone);
        if (r < 0)
                (void) log_domain_warning_errno(u->domain, r, "can't watch %s: %m", n->unit);
        one_runs(n);
}

static int start_unit(UserNet *n, char **argv) {
        const Domain *d = n->nets->domain;
        _cleanup_free_ char *description = strf("User Network %s of Virtual Machine %s", n->device, d->name);
        sd_id128_t chance;
        int r;

        /* What is left of the last run may not have ended yet, so the name is new each time. */
        r = sd_id128_randomize(&chance);
        if (r < 0)
                return r;
        n->unit = strf("virtqemu-passt-%s-%s-%08x.service", d->uuid_string, n->device, (unsigned) chance.qwords[0]);
        if (!n->unit || !description)
                return -ENOMEM;

        const UnitTransient spec = {
                .unit = n->unit, .description = description, .part_of = d->unit, .argv = argv, .input = n->socket,
                .user = d->manager->user,
        };
        return unit_start_transient(d->manager->bus, &spec, on_unit_started, n, &n->call);
}

static int on_defer(sd_event_source *source, void *userdata) {
        UserNets *u = userdata;

        u->defer = sd_event_source_disable_unref(u->defer);
        for (size_t i = 0; i < u->n; i++)
                one_runs(&u->items[i]);
        return 0;
}

static int start_child(UserNet *n, char **argv, Fault *f) {
        const Manager *m = n->nets->domain->manager;
        const ChildFd fds[] = { { n->socket, STDIN_FILENO } };
        const ChildSpec spec = { .argv = argv, .fds = fds, .n_fds = ARRAY_SIZE(fds), .detach = true };
        int r;

        r = child_new(m->event, &spec, on_child_ended, n, &n->child, f);
        if (r < 0 || n->nets->defer)
                return r;
        return sd_event_add_defer(m->event, &n->nets->defer, on_defer, n->nets);
}

static const Interface *find_interface(const UserNet *n) {
        const DomainDef *def = n->nets->live;

        for (size_t i = 0; i < def->devices.n; i++) {
                const Device *d = (const Device *) def->devices.items[i];

                if (streq_null(d->id, n->device))
                        return device_as_interface(d);
        }
        return NULL;
}

static int make_argv(const UserNet *n, char ***ret) {
        static const char *const always[] = { PROGRAM, "--foreground", "--quiet", "--fd", "0" };
        const Interface *interface = find_interface(n);
        _cleanup_strv_ char **argv = NULL;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
                r = strv_push(&argv, always[i]);
        if (r >= 0 && interface)
                r = user_forwards_to_args(&interface->forwards, &argv);
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r;
}

static int start_one(UserNet *n, Fault *f) {
        _cleanup_strv_ char **argv = NULL;
        int r;

        r = make_argv(n, &argv);
        if (r < 0)
                return fault_oom(f);
        r = n->nets->domain->manager->by_unit ? start_unit(n, argv) : start_child(n, argv, f);
        if (r < 0 && !(f && fault_is_set(f)))
                return fault_set(f, FAULT_UNIT, -r, "passt for interface %s can't be started: %s", n->device, strerror(-r));
        return r;
}

int user_nets_new(Domain *d, const DomainDef *live, Prepare *p, UserNetsDone done, void *userdata, UserNets **ret, Fault *f) {
        _cleanup_(user_nets_freep) UserNets *u = NULL;
        size_t n = prepare_count_user_networks(p);
        int r = 0;

        assert(d && p && done && ret);

        if (n == 0)
                return 1;
        if (access(PROGRAM, X_OK) < 0) {
                fault_set(f, FAULT_NOT_SUPPORTED, ENOENT, "an interface of type 'user' needs " PROGRAM ", which is not there");
                fault_hint(f, "install the package passt, or define the interface on a network");
                return -ENOENT;
        }
        u = new0(UserNets, 1);
        if (!u)
                return fault_oom(f);
        *u = (UserNets) { .domain = d, .live = live, .items = new0(UserNet, n), .done = done, .userdata = userdata };
        if (!u->items)
                return fault_oom(f);
        for (size_t i = 0; i < n && r >= 0; i++) {
                UserNet *item = &u->items[u->n++];

                *item = (UserNet) { .nets = u };
                item->socket = prepare_take_user_network(p, i, &item->device);
                r = item->device ? start_one(item, f) : fault_oom(f);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(u);
        return 0;
}

static void forget(UserNet *n) {
        n->gone = unit_gone_free(n->gone);
        n->child = child_release(n->child);
        n->ended = sd_event_source_disable_unref(n->ended);
}

void user_nets_forget(UserNets *u, const char *device) {
        assert(device);

        for (; u; u = u->next)
                for (size_t i = 0; i < u->n; i++)
                        if (streq_null(u->items[i].device, device))
                                forget(&u->items[i]);
}

UserNets *user_nets_join(UserNets *all, UserNets *more) {
        UserNets **end = &all;

        for (; *end; end = &(*end)->next)
                ;
        *end = more;
        return all;
}
