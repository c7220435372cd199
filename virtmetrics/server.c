/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd.h"
#include "http.h"
#include "mem.h"
#include "source.h"
#include "str.h"

#define LISTENERS_MAX 16u
#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct Client {
        Server *server;
        int fd;
        sd_event_source *io, *deadline;
        char request[HTTP_HEAD_MAX];
        size_t n_request;
        HttpRequest wants;
        bool waiting;            /* for a page */
        char *head;              /* of the answer; NULL: not yet */
        size_t n_head, sent;     /* of both */
        Page *page;
        MetricFormat format;
        LIST_ENTRY(Client) link;
} Client;

struct Server {
        sd_event *event;
        Source *source;
        LIST_HEAD(, Client) clients;
        unsigned n_clients;
        int listeners[LISTENERS_MAX];
        sd_event_source *accepts[LISTENERS_MAX];
        size_t n_listeners;
        void (*idle)(void *userdata);
        void *userdata;
};

/* --- clients --- */

static void set_accepting(Server *s, bool on) {
        for (size_t i = 0; i < s->n_listeners; i++)
                (void) sd_event_source_set_enabled(s->accepts[i], on ? SD_EVENT_ON : SD_EVENT_OFF);
}

static Client *client_free(Client *c) {
        if (!c)
                return NULL;
        if (c->server) {
                LIST_REMOVE(c, link);
                c->server->n_clients--;
        }
        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->deadline);
        fd_close(c->fd);
        page_unref(c->page);
        free(c->head);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Client *, client_free)

/* Its place is another one's now. */
static void end_client(Client *c) {
        Server *s = c->server;

        client_free(c);
        set_accepting(s, true);
        if (s->n_clients == 0 && s->idle)
                s->idle(s->userdata);
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata) {
        end_client(userdata);
        return 0;
}

/* --- answers --- */

/* 1: all is sent; -EAGAIN: the client has to read first. */
static int send_some(Client *c) {
        const char *page = c->page ? c->page->text[c->format] : "";
        size_t n_page = c->page ? c->page->length[c->format] : 0;
        ssize_t n;

        while (c->sent < c->n_head + n_page) {
                size_t in_head = MIN(c->sent, c->n_head), in_page = c->sent - in_head;
                struct iovec parts[] = {
                        { c->head + in_head, c->n_head - in_head }, { (char *) page + in_page, n_page - in_page },
                };
                const struct msghdr m = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };

                n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0)
                        return -errno;
                c->sent += (size_t) n;
        }
        return 1;
}

static void go_on_sending(Client *c) {
        int r = send_some(c);

        if (r != -EAGAIN || sd_event_source_set_io_events(c->io, EPOLLOUT) < 0)
                end_client(c);
}

/* Takes a reference of its own to the page; without one the status is all there is to say. */
static void answer(Client *c, int status, Page *page, const char *why) {
        _cleanup_(page_unrefp) Page *own = page ? page_ref(page) : new0(Page, 1);
        const char *type = !page ? "text/plain; charset=utf-8" : c->wants.openmetrics ? OPENMETRICS_TYPE : PROMETHEUS_TYPE;

        c->waiting = false;
        c->format = c->wants.openmetrics ? FORMAT_OPENMETRICS : FORMAT_PROMETHEUS;
        if (own && !page) {
                own->n_refs = 1;
                own->text[c->format] = strf("%s\n", why ?: http_reason(status));
                own->length[c->format] = own->text[c->format] ? strlen(own->text[c->format]) : 0;
        }
        c->head = own && own->text[c->format] ? http_answer(status, type, own->length[c->format]) : NULL;
        if (!c->head || sd_event_source_set_time_relative(c->deadline, SERVER_WRITE_USEC) < 0) {
                end_client(c);
                return;
        }
        c->n_head = strlen(c->head);
        c->page = c->wants.head ? NULL : TAKE_PTR(own);
        go_on_sending(c);
}

/* An answer may end the client, and nobody else's. */
static void on_page(Page *page, const char *why, void *userdata) {
        Server *s = userdata;
        Client *c, *next;

        for (c = LIST_FIRST(&s->clients); c; c = next) {
                next = LIST_NEXT(c, link);
                if (c->waiting)
                        answer(c, page ? 200 : 503, page, why);
        }
}

/* --- requests --- */

static void handle(Client *c, int status) {
        int r;

        (void) sd_event_source_set_io_events(c->io, 0); /* a hang-up is told all the same */
        if (status != 200) {
                answer(c, status, NULL, NULL);
                return;
        }
        c->waiting = true;
        r = source_ask(c->server->source);
        if (r < 0)
                answer(c, 503, NULL, "the message bus can't be reached");
}

static void receive(Client *c) {
        ssize_t n = recv(c->fd, c->request + c->n_request, sizeof(c->request) - c->n_request, MSG_DONTWAIT);
        int status;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                end_client(c);
                return;
        }
        c->n_request += (size_t) n;
        status = http_parse(c->request, c->n_request, &c->wants);
        if (status != 0)
                handle(c, status);
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Client *c = userdata;

        if (events & (EPOLLERR | EPOLLHUP))
                end_client(c);
        else if (c->head)
                go_on_sending(c);
        else if (!c->waiting)
                receive(c);
        return 0;
}

static int add_client(Server *s, int fd) {
        _cleanup_(client_freep) Client *c = new0(Client, 1);
        int r;

        if (!c) {
                fd_close(fd);
                return -ENOMEM;
        }
        c->fd = fd;
        r = sd_event_add_io(s->event, &c->io, fd, EPOLLIN, on_client, c);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &c->deadline, CLOCK_MONOTONIC, SERVER_READ_USEC, 0, on_late, c);
        if (r < 0)
                return r;
        c->server = s;
        LIST_INSERT_HEAD(&s->clients, c, link);
        c = NULL;
        if (++s->n_clients >= SERVER_CLIENTS_MAX)
                set_accepting(s, false);
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (client >= 0)
                (void) add_client(userdata, client);
        return 0;
}

/* --- life --- */

int server_new(sd_event *event, bool user, void (*idle)(void *userdata), void *userdata, Server **ret) {
        _cleanup_(server_freep) Server *s = new0(Server, 1);
        int r;

        assert(event && ret);

        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        s->idle = idle;
        s->userdata = userdata;
        LIST_INIT(&s->clients);
        r = source_new(event, user, on_page, s, &s->source);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Server *server_free(Server *s) {
        if (!s)
                return NULL;
        while (!LIST_EMPTY(&s->clients))
                client_free(LIST_FIRST(&s->clients));
        for (size_t i = 0; i < s->n_listeners; i++) {
                sd_event_source_disable_unref(s->accepts[i]);
                fd_close(s->listeners[i]);
        }
        source_free(s->source);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}

int server_listen(Server *s, int fd) {
        int r;

        assert(s && fd >= 0);

        if (s->n_listeners >= LISTENERS_MAX) {
                fd_close(fd);
                return -ENOBUFS;
        }
        r = fd_set_nonblock(fd, true);
        if (r >= 0)
                r = sd_event_add_io(s->event, &s->accepts[s->n_listeners], fd, EPOLLIN, on_connection, s);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        s->listeners[s->n_listeners++] = fd;
        return 0;
}

bool server_is_idle(const Server *s) {
        return s->n_clients == 0;
}
