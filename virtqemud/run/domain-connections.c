/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-connections.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "fd.h"
#include "manager.h"
#include "mem.h"
#include "netaddr.h"
#include "socket.h"
#include "str.h"

#define CONNECT_USEC (10u * 1000 * 1000)

typedef struct Connection {
        DomainConnections *all;
        const char *place;           /* the plan's */
        int number, fd;
        sd_event_source *source;
} Connection;

struct DomainConnections {
        Domain *domain;
        Connection *items;
        size_t n, n_pending;
        sd_event_source *timeout;
        DomainConnectionsDone done;  /* NULL once it was called */
        void *userdata;
};

DomainConnections *domain_connections_free(DomainConnections *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n; i++) {
                sd_event_source_disable_unref(c->items[i].source);
                fd_close(c->items[i].fd);
        }
        sd_event_source_disable_unref(c->timeout);
        free(c->items);
        free(c);
        return NULL;
}

static void finish(DomainConnections *c, const Fault *why) {
        DomainConnectionsDone done = c->done;

        c->done = NULL;
        c->timeout = sd_event_source_disable_unref(c->timeout);
        if (done)
                done(why, c->userdata);
}

static int not_there(const Connection *one, int error, Fault *f) {
        fault_set(f, FAULT_INVALID_STATE, error, "nobody answers at %s: %s", one->place, strerror(error));
        fault_hint(f, "start what is to be connected to first");
        return -error;
}

static int on_connected(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Connection *one = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        socklen_t length = sizeof(int);
        int error = 0;

        one->source = sd_event_source_disable_unref(one->source);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                error = errno;
        if (error != 0) {
                (void) not_there(one, error, &f);
                finish(one->all, &f);
        } else if (--one->all->n_pending == 0)
                finish(one->all, NULL);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        DomainConnections *c = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;

        for (size_t i = 0; i < c->n && !fault_is_set(&f); i++)
                if (c->items[i].source)
                        (void) not_there(&c->items[i], ETIMEDOUT, &f);
        finish(c, &f);
        return 0;
}

/* "ADDRESS PORT". */
static int begin_one(Connection *one, Fault *f) {
        const char *space = strchr(one->place, ' ');
        _cleanup_free_ char *address = space ? strndup(one->place, (size_t) (space - one->place)) : NULL;
        uint32_t port;
        IpAddress ip;

        if (!address || ip_from_text(address, &ip) < 0 || parse_u32(space + 1, &port) < 0)
                return fault_oom(f);
        one->fd = socket_connect_ip(&ip, (uint16_t) port);
        if (one->fd < 0)
                return not_there(one, -one->fd, f);
        return sd_event_add_io(one->all->domain->manager->event, &one->source, one->fd, EPOLLOUT, on_connected, one);
}

int domain_connections_new(Domain *d, const LaunchPlan *plan, DomainConnectionsDone done, void *userdata, DomainConnections **ret, Fault *f) {
        _cleanup_(domain_connections_freep) DomainConnections *c = new0(DomainConnections, 1);
        int r = 0;

        assert(d && plan && done && ret);

        if (!c)
                return fault_oom(f);
        *c = (DomainConnections) { .domain = d, .items = new0(Connection, plan->n_fds + 1), .done = done, .userdata = userdata };
        if (!c->items)
                return fault_oom(f);
        for (size_t i = 0; i < plan->n_fds && r >= 0; i++)
                if (plan->fds[i].kind == PLAN_FD_CONNECT_TCP) {
                        Connection *one = &c->items[c->n++];

                        *one = (Connection) { .all = c, .place = plan->fds[i].path, .number = plan->fds[i].number, .fd = -1 };
                        r = begin_one(one, f);
                }
        if (c->n == 0)
                return 1;
        c->n_pending = c->n;
        if (r >= 0)
                r = sd_event_add_time_relative(d->manager->event, &c->timeout, CLOCK_MONOTONIC, CONNECT_USEC, 0, on_timeout, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int domain_connections_fd(const DomainConnections *c, int number) {
        for (size_t i = 0; c && i < c->n; i++)
                if (c->items[i].number == number)
                        return c->items[i].fd;
        return -1;
}
