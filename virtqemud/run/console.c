/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "console.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "fd.h"
#include "fdstore.h"
#include "log.h"
#include "mem.h"
#include "sdbus.h"
#include "socket.h"
#include "str.h"

#define TYPED_MAX 4096u /* bytes a writer may be ahead of the guest */

typedef struct ConsoleClient {
        Console *console;
        int fd;
        sd_event_source *source;
        uint64_t told;               /* how much of what the guest has said it has been passed */
        bool writer;
        bool deaf;                   /* it has shut down its sending side and only listens on */
        LIST_ENTRY(ConsoleClient) link;
} ConsoleClient;

struct Console {
        sd_event *event;
        int guest;
        sd_event_source *guest_source;
        int pty;                     /* master; -1 without */
        int pty_slave;               /* kept open, or the master would report a hang-up whenever nobody has it open */
        sd_event_source *pty_source;
        char *tty;
        char *kept_as;               /* in the fd store; NULL: not kept */
        LIST_HEAD(, ConsoleClient) clients;
        unsigned n_clients;
        /* What is typed and not yet taken by the guest; while it is full no writer is read. */
        char typed[TYPED_MAX];
        size_t n_typed;
        /* The last bytes written by the guest, a ring; and how many there ever were. Who does not read is behind by so much and loses nothing. */
        char *scrollback;
        uint64_t said;
};

static ConsoleClient *client_free(ConsoleClient *client) {
        if (!client)
                return NULL;
        if (client->console) {
                LIST_REMOVE(client, link);
                client->console->n_clients--;
        }
        sd_event_source_disable_unref(client->source);
        fd_close(client->fd);
        free(client);
        return NULL;
}
DEFINE_CLEANUP(ConsoleClient *, client_free)

Console *console_free(Console *c) {
        if (!c)
                return NULL;
        while (!LIST_EMPTY(&c->clients))
                client_free(LIST_FIRST(&c->clients));
        sd_event_source_disable_unref(c->guest_source);
        sd_event_source_disable_unref(c->pty_source);
        fd_close(c->guest);
        fd_close(c->pty);
        fd_close(c->pty_slave);
        sd_event_unref(c->event);
        free(c->tty);
        free(c->kept_as);
        free(c->scrollback);
        free(c);
        return NULL;
}

/* A writer is read only while there is room for it, and nobody is polled for writing unless something waits. */
static void watch_client(ConsoleClient *client) {
        const Console *c = client->console;
        uint32_t typing = client->deaf || (client->writer && c->n_typed >= TYPED_MAX) ? 0 : EPOLLIN;

        (void) sd_event_source_set_io_events(client->source, typing | (client->told < c->said ? EPOLLOUT : 0u));
}

static void update_events(Console *c) {
        bool room = c->n_typed < TYPED_MAX;
        ConsoleClient *client;

        if (c->guest_source)
                (void) sd_event_source_set_io_events(c->guest_source, EPOLLIN | (c->n_typed > 0 ? EPOLLOUT : 0u));
        if (c->pty_source)
                (void) sd_event_source_set_enabled(c->pty_source, room ? SD_EVENT_ON : SD_EVENT_OFF);
        LIST_FOREACH(client, &c->clients, link)
                watch_client(client);
}

static void flush_typed(Console *c) {
        ssize_t n;

        if (c->n_typed == 0 || c->guest < 0)
                return;
        n = send(c->guest, c->typed, c->n_typed, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
                c->n_typed -= (size_t) n;
                memmove(c->typed, c->typed + n, c->n_typed);
        }
        update_events(c);
}

static void remember(Console *c, const char *data, size_t n) {
        if (n > CONSOLE_SCROLLBACK) {
                data += n - CONSOLE_SCROLLBACK;
                n = CONSOLE_SCROLLBACK;
        }
        while (n > 0) {
                size_t at = (size_t) (c->said % CONSOLE_SCROLLBACK), part = MIN(n, CONSOLE_SCROLLBACK - at);

                memcpy(c->scrollback + at, data, part);
                c->said += part;
                data += part;
                n -= part;
        }
}

static uint64_t oldest(const Console *c) {
        return c->said > CONSOLE_SCROLLBACK ? c->said - CONSOLE_SCROLLBACK : 0;
}

/* As much as it takes now. What a byte at a time fills a socket soon, of one who only had no processor for a moment. */
static void catch_up(ConsoleClient *client) {
        const Console *c = client->console;
        ssize_t n = 0;

        client->told = MAX(client->told, oldest(c));
        while (n >= 0 && client->told < c->said) {
                size_t at = (size_t) (client->told % CONSOLE_SCROLLBACK), part = (size_t) MIN(c->said - client->told, (uint64_t) CONSOLE_SCROLLBACK - at);

                n = send(client->fd, c->scrollback + at, part, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n > 0)
                        client->told += (uint64_t) n;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                client->told = c->said; /* it takes nothing any more */
        watch_client(client);
}

static void distribute(Console *c, const char *data, size_t n) {
        ConsoleClient *client;

        remember(c, data, n);
        if (c->pty >= 0) {
                ssize_t w = write(c->pty, data, n); /* full: nobody reads there; theirs to lose */

                (void) w;
        }
        LIST_FOREACH(client, &c->clients, link)
                catch_up(client);
}

/* There is room for what is left, in one piece, behind a socket's usual number of bytes. */
static void tell_the_rest(ConsoleClient *client) {
        static const int room = 4 * (int) CONSOLE_SCROLLBACK;

        if (client->told == client->console->said)
                return;
        (void) setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
        catch_up(client);
}

/* QEMU is gone. Readers see the end of the stream after what they have not read yet. */
static void guest_gone(Console *c) {
        c->guest_source = sd_event_source_disable_unref(c->guest_source);
        c->guest = fd_close(c->guest);
        while (!LIST_EMPTY(&c->clients)) {
                tell_the_rest(LIST_FIRST(&c->clients));
                client_free(LIST_FIRST(&c->clients));
        }
}

static int on_guest(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Console *c = userdata;
        char buffer[16384];
        ssize_t n;

        if (events & EPOLLOUT)
                flush_typed(c);
        if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                return 0;

        n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n > 0)
                distribute(c, buffer, (size_t) n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                guest_gone(c);
        return 0;
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        ConsoleClient *client = userdata;
        Console *c = client->console;
        char ignored[512];
        ssize_t n;

        if (events & EPOLLOUT)
                catch_up(client);
        if (!(events & ~(uint32_t) EPOLLOUT))
                return 0;
        if (client->writer)
                n = recv(fd, c->typed + c->n_typed, TYPED_MAX - c->n_typed, MSG_DONTWAIT);
        else
                n = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT); /* a reader's bytes have nowhere to go */

        if (n > 0 && client->writer) {
                c->n_typed += (size_t) n;
                flush_typed(c);
                update_events(c);
        } else if (n == 0 && !(events & EPOLLHUP)) {
                client->writer = false;
                client->deaf = true;
                watch_client(client); /* a full close is told all the same */
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                client_free(client);
        return 0;
}

static int on_pty(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Console *c = userdata;
        ssize_t n = read(fd, c->typed + c->n_typed, TYPED_MAX - c->n_typed);

        if (n > 0) {
                c->n_typed += (size_t) n;
                flush_typed(c);
                update_events(c);
        }
        return 0;
}

/* A serial line passes every byte on as it is. */
static int set_raw(int fd) {
        struct termios t;

        if (tcgetattr(fd, &t) < 0)
                return -errno;
        cfmakeraw(&t);
        return tcsetattr(fd, TCSANOW, &t) < 0 ? -errno : 0;
}

static int open_master(Console *c) {
        c->pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        if (c->pty < 0)
                return -errno;
        if (grantpt(c->pty) < 0 || unlockpt(c->pty) < 0)
                return -errno;
        return set_raw(c->pty);
}

static int make_pty(Console *c, const char *kept_as) {
        char name[64];
        int r;

        c->kept_as = strdup(kept_as);
        if (!c->kept_as)
                return -ENOMEM;
        c->pty = fdstore_take(kept_as);
        r = c->pty >= 0 ? fd_set_nonblock(c->pty, true) : open_master(c);
        if (r < 0)
                return r;
        r = ptsname_r(c->pty, name, sizeof(name));
        if (r != 0)
                return -r;
        c->tty = strdup(name);
        if (!c->tty)
                return -ENOMEM;
        r = fdstore_keep(kept_as, c->pty);
        if (r < 0)
                log_warning("%s will have another name after a restart of virtqemud: %s", name, strerror(-r));
        c->pty_slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (c->pty_slave < 0)
                return -errno;
        return sd_event_add_io(c->event, &c->pty_source, c->pty, EPOLLIN, on_pty, c);
}

int console_new(sd_event *event, const char *path, const char *pty, Console **ret, Fault *f) {
        _cleanup_(console_freep) Console *c = NULL;
        int r;

        assert(event && path && ret);

        c = new0(Console, 1);
        if (!c)
                return fault_oom(f);
        c->guest = c->pty = c->pty_slave = -1;
        c->event = sd_event_ref(event);
        LIST_INIT(&c->clients);
        c->scrollback = new(char, CONSOLE_SCROLLBACK);
        if (!c->scrollback)
                return fault_oom(f);

        c->guest = socket_connect_unix(path);
        if (c->guest < 0)
                return fault_set(f, FAULT_QEMU, -c->guest, "console socket %s: %s", path, strerror(-c->guest));
        r = sd_event_add_io(event, &c->guest_source, c->guest, EPOLLIN, on_guest, c);
        if (r < 0)
                return r;
        if (pty) {
                r = make_pty(c, pty);
                if (r < 0)
                        return fault_set(f, FAULT_QEMU, -r, "can't make a pty for a console: %s", strerror(-r));
        }
        *ret = TAKE_PTR(c);
        return 0;
}

void console_forget(Console *c) {
        assert(c);

        if (c->kept_as)
                fdstore_drop(c->kept_as);
}

static int claim_writing(Console *c, unsigned flags, Fault *f) {
        ConsoleClient *client;

        if (!(flags & CONSOLE_WRITE))
                return 0;
        LIST_FOREACH(client, &c->clients, link) {
                if (!client->writer)
                        continue;
                if (!(flags & CONSOLE_FORCE)) {
                        fault_set(f, FAULT_BUSY, EBUSY, "somebody else is typing on this console");
                        fault_hint(f, "open it read-only, or take it over with the option \"force\"");
                        return -EBUSY;
                }
                client->writer = false;
        }
        return 0;
}

int console_open(Console *c, unsigned flags, int *ret_fd, Fault *f) {
        _cleanup_(client_freep) ConsoleClient *client = NULL;
        _cleanup_fd_ int theirs = -1;
        int pair[2], r;

        assert(c && ret_fd);

        if (c->guest < 0)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "the console is closed: QEMU has ended");
        if (c->n_clients >= CONSOLE_CLIENTS_MAX)
                return fault_set(f, FAULT_LIMIT, EUSERS, "the console is already open %u times", CONSOLE_CLIENTS_MAX);
        r = claim_writing(c, flags, f);
        if (r < 0)
                return r;

        client = new0(ConsoleClient, 1);
        if (!client)
                return fault_oom(f);
        client->fd = -1;
        client->writer = flags & CONSOLE_WRITE;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        client->fd = pair[0];
        theirs = pair[1];

        r = sd_event_add_io(c->event, &client->source, client->fd, EPOLLIN, on_client, client);
        if (r < 0)
                return r;
        client->told = flags & CONSOLE_NO_SCROLLBACK ? c->said : oldest(c);
        client->console = c;
        LIST_INSERT_HEAD(&c->clients, client, link);
        c->n_clients++;
        catch_up(TAKE_PTR(client));
        *ret_fd = TAKE_FD(theirs);
        return 0;
}

const char *console_tty(const Console *c) {
        assert(c);

        return c->tty;
}

