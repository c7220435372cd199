/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "displays.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../qmp/qmp-cmd.h"
#include "fd.h"
#include "instance.h"
#include "log.h"
#include "manager.h"
#include "mem.h"
#include "netaddr.h"
#include "socket.h"
#include "str.h"
#include "websocket.h"

#define PORT_LAST 65535
/* Those that QEMU has not taken yet. More wait in the kernel. */
#define CLIENTS_MAX 16u

/* The ports that a display may have. */
typedef enum Entrance { ENTRANCE_PLAIN, ENTRANCE_TLS, ENTRANCE_WEBSOCKET, _ENTRANCE_MAX } Entrance;
static const int first_ports[_ENTRANCE_MAX] = { [ENTRANCE_PLAIN] = 5900, [ENTRANCE_TLS] = 5900, [ENTRANCE_WEBSOCKET] = 5700 };

typedef struct Display {
        Displays *all;
        char *id;                    /* of its <graphics> */
        char *socket;                /* a name in the file system that is ours to remove; NULL: none */
        Entrance entrance;
        WebSockets *websockets;      /* who comes by them; NULL: it is not for such */
        int fd;
        sd_event_source *source;
        struct Display *next;
} Display;

/* On its way to QEMU. */
typedef struct Client {
        Displays *all;
        char *name, *protocol;
        ClientFlags flags;
        DisplayDone done;
        void *userdata;
        QmpRequest *request;
        struct Client *next;
} Client;

struct Displays {
        Domain *domain;
        Display *displays;
        Client *clients;
        unsigned n_clients;
        uint64_t count;              /* of all clients there ever were, for names */
};

static void client_done(Client *c, const Fault *why);

static Display *display_free(Display *p) {
        if (!p)
                return NULL;
        sd_event_source_disable_unref(p->source);
        websockets_free(p->websockets);
        fd_close(p->fd);
        free(p->id);
        free(p->socket);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(Display *, display_free)

static Client *client_free(Client *c) {
        if (!c)
                return NULL;
        qmp_request_free(c->request);
        free(c->name);
        free(c->protocol);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Client *, client_free)

Displays *displays_free(Displays *s) {
        if (!s)
                return NULL;
        while (s->displays) {
                Display *p = s->displays;

                s->displays = p->next;
                display_free(p);
        }
        while (s->clients) {
                _cleanup_fault_ Fault f = FAULT_INIT;

                fault_set(&f, FAULT_DISCONNECTED, ECONNRESET, "%s has ended", s->domain->name);
                client_done(s->clients, &f);
        }
        free(s);
        return NULL;
}

void displays_forget(Displays *s) {
        for (const Display *p = s ? s->displays : NULL; p; p = p->next)
                if (p->socket)
                        (void) unlink(p->socket);
}

/* --- clients --- */

static bool takes_clients(const Display *p) {
        return p->all->n_clients < CLIENTS_MAX && (!p->websockets || websockets_may_admit(p->websockets));
}

static void wake_displays(Displays *s) {
        for (Display *p = s->displays; p; p = p->next)
                (void) sd_event_source_set_enabled(p->source, takes_clients(p) ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void client_done(Client *c, const Fault *why) {
        Displays *s = c->all;
        Client **at;

        for (at = &s->clients; *at != c; at = &(*at)->next)
                ;
        *at = c->next;
        s->n_clients--;
        wake_displays(s);
        if (c->done)
                c->done(why, c->userdata);
        else if (why)
                log_domain_warning(s->domain, "a client of its display was not let in: %s", fault_text(why));
        client_free(c);
}

static void on_added(Qmp *q, json_t *result, const Fault *fault, void *userdata) {
        Client *c = userdata;

        if (fault) /* it has kept the descriptor, perhaps */
                (void) qmp_send(q, "closefd", qmp_arg_string("fdname", c->name), 0, NULL, NULL, NULL);
        client_done(c, fault);
}

static void on_taken(Qmp *q, json_t *result, const Fault *fault, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Client *c = userdata;
        json_t *arguments;
        int r;

        c->request = qmp_request_free(c->request);
        if (fault) {
                client_done(c, fault);
                return;
        }
        arguments = json_pack("{s:s, s:s, s:b, s:b}", "protocol", c->protocol, "fdname", c->name, "skipauth", c->flags & CLIENT_TRUSTED,
                              "tls", c->flags & CLIENT_TLS);
        r = arguments ? qmp_send(q, "add_client", arguments, 0, on_added, c, &c->request) : -ENOMEM;
        if (r >= 0)
                return;
        fault_set(&f, FAULT_QEMU, -r, "QEMU can't be asked to take a client: %s", strerror(-r));
        client_done(c, &f);
}

static int client_new(Displays *s, const Graphics *g, ClientFlags flags, Client **ret) {
        _cleanup_(client_freep) Client *c = new0(Client, 1);

        if (!c)
                return -ENOMEM;
        c->all = s;
        c->name = strf("virtbus-client-%" PRIu64, s->count++);
        c->protocol = strdup(graphics_protocol(g));
        c->flags = flags;
        if (!c->name || !c->protocol)
                return -ENOMEM;
        *ret = TAKE_PTR(c);
        return 0;
}

int displays_add_client(Displays *s, const Graphics *g, int fd, ClientFlags flags, DisplayDone done, void *userdata, Fault *f) {
        Qmp *q = s->domain->instance ? s->domain->instance->qmp : NULL;
        Client *c;
        int r;

        if (!q || client_new(s, g, flags, &c) < 0) {
                fd_close(fd);
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "the QEMU of %s can't be asked to take a client", s->domain->name);
        }
        r = qmp_getfd(q, c->name, fd, on_taken, c, &c->request);
        if (r < 0) {
                client_free(c);
                return fault_set(f, FAULT_QEMU, -r, "the QEMU of %s can't be given a client: %s", s->domain->name, strerror(-r));
        }
        c->done = done;
        c->userdata = userdata;
        c->next = s->clients;
        s->clients = c;
        s->n_clients++;
        return 0;
}

/* TLS has been spoken before it comes to QEMU, which would ask for it again. */
static int add_websocket(Display *p, const Graphics *g, int client, Fault *f) {
        _cleanup_fd_ int viewer = client, stream = -1;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return fault_set(f, FAULT_HOST, errno, "can't make a socket pair: %m");
        stream = pair[0];
        r = websockets_admit(p->websockets, viewer, stream, f);
        if (r < 0) {
                fd_close(pair[1]);
                return r;
        }
        return displays_add_client(p->all, g, pair[1], g->certificates ? CLIENT_TRUSTED : 0, NULL, NULL, f);
}

static int admit(Display *p, const Graphics *g, int client, Fault *f) {
        if (p->websockets)
                return add_websocket(p, g, client, f);
        return displays_add_client(p->all, g, client, p->entrance == ENTRANCE_TLS ? CLIENT_TLS : 0, NULL, NULL, f);
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Display *p = userdata;
        Displays *s = p->all;
        const Device *d = domain_find_device(s->domain->live, p->id);
        const Graphics *g = d ? device_as_graphics(d) : NULL;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (client < 0)
                return 0;
        if (!g)
                fd_close(client);
        else if (admit(p, g, client, &f) < 0)
                log_domain_warning(s->domain, "a client of its display was not let in: %s", fault_text(&f));
        wake_displays(s);
        return 0;
}

/* --- listening --- */

static int read_address(const char *text, IpAddress *ret, Fault *f) {
        if (ip_from_text(ip_of_localhost(text), ret) >= 0)
                return 0;
        fault_set(f, FAULT_NOT_SUPPORTED, EINVAL, "<listen address='%s'>: it is not an address", text);
        fault_hint(f, "names are not looked up: write the address");
        return -EINVAL;
}

static int listen_by_port(Graphics *g, const GraphicsListen *l, Entrance entrance, Fault *f) {
        int64_t *const numbers[_ENTRANCE_MAX] = { &g->port, &g->tls_port, &g->websocket }, *number = numbers[entrance];
        int first = *number > 0 ? (int) *number : first_ports[entrance], last = *number > 0 ? (int) *number : PORT_LAST, fd = -EADDRINUSE;
        IpAddress ip;
        int r = read_address(l->address ?: "127.0.0.1", &ip, f);

        if (r < 0)
                return r;
        if (entrance == ENTRANCE_WEBSOCKET && *number < 0)
                g->websocket_chosen = YES;
        for (int port = first; port <= last && fd == -EADDRINUSE; port++) {
                fd = socket_listen_ip(&ip, (uint16_t) port);
                if (fd >= 0)
                        *number = port;
        }
        if (fd >= 0)
                return fd;
        fault_set(f, FAULT_INVALID_STATE, -fd, "the display %s can't be served at %s port %d: %s", g->device.id, l->address, first, strerror(-fd));
        fault_hint(f, fd == -EADDRINUSE ? "another program has the port: choose another one, or autoport='yes'" : "choose an address that this host has");
        return fd;
}

const char *display_socket(const Graphics *g) {
        const GraphicsListen *l = graphics_listen(g);

        return l && l->type == LISTEN_SOCKET ? l->socket ?: l->found : NULL;
}

static int listen_by_name(Display *p, GraphicsListen *l, Fault *f) {
        Instance *i = p->all->domain->instance;
        const char *path;
        int fd;

        if (!l->socket)
                free_and_replace(&l->found, instance_socket(i, p->id));
        path = l->socket ?: l->found;
        if (!path)
                return fault_oom(f);
        fd = socket_listen_unix(path, 0660);
        if (fd < 0)
                return fault_set(f, FAULT_INVALID_STATE, -fd, "the display %s can't be served at %s: %s", p->id, path, strerror(-fd));
        if (free_and_strdup(&p->socket, path) < 0 || fd_set_nonblock(fd, true) < 0) {
                fd_close(fd);
                return fault_oom(f);
        }
        return fd;
}

static bool has_entrance(const Graphics *g, const GraphicsListen *l, Entrance entrance) {
        if (!l || l->type == LISTEN_SOCKET)
                return l && entrance == ENTRANCE_PLAIN;
        return entrance == ENTRANCE_WEBSOCKET ? g->websocket != INTEGER_UNSET : graphics_has_port(g, entrance == ENTRANCE_TLS);
}

static void on_websockets_changed(void *userdata) {
        Display *p = userdata;

        (void) sd_event_source_set_enabled(p->source, takes_clients(p) ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int serve(Display *p, const Graphics *g, Fault *f) {
        int r = sd_event_add_io(p->all->domain->manager->event, &p->source, p->fd, EPOLLIN, on_client, p);

        if (r < 0)
                return fault_set(f, FAULT_HOST, -r, "the display %s can't be served: %s", g->device.id, strerror(-r));
        if (p->entrance == ENTRANCE_WEBSOCKET)
                r = websockets_new(p->all->domain, g, on_websockets_changed, p, &p->websockets, f);
        if (r >= 0 && p->websockets)
                on_websockets_changed(p);
        return r;
}

static int add(Displays *s, Graphics *g, Entrance entrance, Fault *f) {
        GraphicsListen *l = (GraphicsListen *) graphics_listen(g);
        _cleanup_(display_freep) Display *p = NULL;
        int r;

        if (!has_entrance(g, l, entrance))
                return 0;
        p = new0(Display, 1);
        if (!p)
                return fault_oom(f);
        p->fd = -1;
        p->all = s;
        p->entrance = entrance;
        p->id = strdup(g->device.id);
        if (!p->id)
                return fault_oom(f);
        p->fd = l->type == LISTEN_SOCKET ? listen_by_name(p, l, f) : listen_by_port(g, l, entrance, f);
        if (p->fd < 0)
                return p->fd;
        r = serve(p, g, f);
        if (r < 0)
                return r;
        p->next = s->displays;
        s->displays = TAKE_PTR(p);
        return 0;
}

/* Whatever was there before a restart and is not now is a warning. */
static int open_one(Displays *s, Graphics *g, Entrance entrance, bool again, Fault *f) {
        _cleanup_fault_ Fault why = FAULT_INIT;
        int r = add(s, g, entrance, again ? &why : f);

        if (r >= 0 || !again)
                return r;
        (void) domain_warn(s->domain, "%s", fault_text(&why));
        return 0;
}

int displays_open(Domain *d, bool again, Displays **ret, Fault *f) {
        _cleanup_(displays_freep) Displays *s = new0(Displays, 1);
        int r = 0;

        assert(d && d->live && ret);

        if (!s)
                return fault_oom(f);
        s->domain = d;
        free_and_replace(&d->live_text, NULL); /* ports are written into it */
        DEVICE_FOREACH(Graphics, g, d->live, DEVICE_GRAPHICS) {
                for (Entrance e = 0; e < _ENTRANCE_MAX && r >= 0; e++)
                        r = open_one(s, g, e, again, f);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}
