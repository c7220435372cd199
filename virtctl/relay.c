/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "fd.h"
#include "mem.h"

#define PAIRS_MAX 64                 /* SPICE takes a dozen */
#define PART ((size_t) 64 * 1024)

/* What one side has said and the other has not got yet. */
typedef struct Half {
        char data[PART];
        size_t begin, end;
        bool ended;
} Half;

typedef struct Pair {
        int fds[2];                  /* the visitor, its stream */
        Half halves[2];              /* from fds[i] to the other one */
} Pair;

enum { LISTENER, SIGNALS, VIEWER, FIRST_PAIR };

typedef struct Loop {
        const Relay *relay;
        Pair *pairs[PAIRS_MAX];
        size_t n;
        struct pollfd polls[FIRST_PAIR + 2 * PAIRS_MAX];
} Loop;

static void signals_of(sigset_t *ret) {
        static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

        (void) sigemptyset(ret);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                (void) sigaddset(ret, ends[i]);
}

void relay_block_signals(void) {
        sigset_t set;

        signals_of(&set);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
}

void relay_unblock_signals(void) {
        sigset_t set;

        signals_of(&set);
        (void) sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* --- pairs --- */

static Pair *pair_free(Pair *p) {
        for (size_t i = 0; p && i < 2; i++)
                fd_close(p->fds[i]);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(Pair *, pair_free)

/* False: nothing comes from there any more. */
static bool half_read(Half *h, int from) {
        ssize_t n = recv(from, h->data, sizeof(h->data), 0);

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return true;
        h->begin = 0;
        h->end = n > 0 ? (size_t) n : 0;
        return n > 0;
}

/* False: nobody wants it. */
static bool half_write(Half *h, int to) {
        ssize_t n = send(to, h->data + h->begin, h->end - h->begin, MSG_NOSIGNAL);

        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        h->begin += (size_t) n;
        return true;
}

static bool half_has(const Half *h) {
        return h->begin < h->end;
}

/* False: one side has ended, and the other has all that it said. Neither protocol goes on with half a connection. */
static bool pair_move(Pair *p, const struct pollfd *polls) {
        for (size_t i = 0; i < 2; i++) {
                Half *h = &p->halves[i];

                if (polls[i].revents && !half_has(h) && !h->ended)
                        h->ended = !half_read(h, p->fds[i]);
                if (half_has(h) && !half_write(h, p->fds[1 - i]))
                        return false;
                if (h->ended && !half_has(h))
                        return false;
        }
        return true;
}

static void pair_prepare(const Pair *p, struct pollfd *polls) {
        for (size_t i = 0; i < 2; i++) {
                const Half *out = &p->halves[i], *in = &p->halves[1 - i];
                short events = (short) ((!half_has(out) && !out->ended ? POLLIN : 0) | (half_has(in) ? POLLOUT : 0));

                /* Who is waited for by nobody would wake us up by hanging up, again and again. */
                polls[i] = (struct pollfd) { .fd = events ? p->fds[i] : -1, .events = events };
        }
}

/* --- the loop --- */

static void welcome(Loop *l) {
        _cleanup_(pair_freep) Pair *p = NULL;
        int visitor = accept4(l->relay->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (visitor < 0)
                return;
        p = l->n < PAIRS_MAX ? new0(Pair, 1) : NULL;
        if (!p) {
                fd_close(visitor);
                return;
        }
        p->fds[0] = visitor;
        p->fds[1] = -1;
        if (l->relay->open(l->relay->userdata, &p->fds[1]) == 0 && fd_set_nonblock(p->fds[1], true) >= 0)
                l->pairs[l->n++] = TAKE_PTR(p);
}

static void move_all(Loop *l, size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < n; i++)
                if (pair_move(l->pairs[i], &l->polls[FIRST_PAIR + 2 * i]))
                        l->pairs[kept++] = l->pairs[i];
                else
                        pair_free(l->pairs[i]);
        for (size_t i = n; i < l->n; i++)
                l->pairs[kept++] = l->pairs[i];
        l->n = kept;
}

/* False: it is the end. */
static bool turn(Loop *l) {
        size_t n = l->n;

        for (size_t i = 0; i < n; i++)
                pair_prepare(l->pairs[i], &l->polls[FIRST_PAIR + 2 * i]);
        if (poll(l->polls, FIRST_PAIR + 2 * n, -1) < 0)
                return errno == EINTR;
        if (l->polls[SIGNALS].revents || l->polls[VIEWER].revents)
                return false;
        move_all(l, n);
        if (l->polls[LISTENER].revents)
                welcome(l);
        return true;
}

int relay_serve(const Relay *relay, int *ret_status) {
        Loop l = { .relay = relay };
        sigset_t set;

        signals_of(&set);
        l.polls[LISTENER] = (struct pollfd) { .fd = relay->listener, .events = POLLIN };
        l.polls[SIGNALS] = (struct pollfd) { .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
        l.polls[VIEWER] = (struct pollfd) { .fd = relay->viewer > 0 ? pidfd_open(relay->viewer, 0) : -1, .events = POLLIN };
        while (turn(&l))
                ;
        for (size_t i = 0; i < l.n; i++)
                pair_free(l.pairs[i]);
        *ret_status = 0;
        if (relay->viewer > 0) {
                if (!l.polls[VIEWER].revents)
                        (void) kill(relay->viewer, SIGTERM);
                while (waitpid(relay->viewer, ret_status, 0) < 0 && errno == EINTR)
                        ;
                if (!l.polls[VIEWER].revents)
                        *ret_status = 0;      /* we have ended it */
        }
        fd_close(l.polls[SIGNALS].fd);
        fd_close(l.polls[VIEWER].fd);
        return 0;
}
