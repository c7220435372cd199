/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "fd.h"
#include "mem.h"
#include "socket.h"

#define SEC UINT64_C(1000000)
#define NEVER UINT64_MAX
#define CONNECT_USEC (10 * SEC)
/* How long the guest is held up by somebody who is connected and takes nothing: then they are hung up on. A FIFO can't be: what is too
 * much for it is lost. */
#define STALLED_USEC (60 * SEC)
#define FULL_USEC SEC
/* For what is under way when one side has hung up. */
#define LAST_USEC (5 * SEC)
/* QEMU has hung up on somebody who never does. */
#define QEMU_RETRY_SEC 1u
/* Nothing tells that somebody has taken what we have put into a FIFO. */
#define LOOK_USEC (SEC / 5)

typedef enum Phase {
        PHASE_WAITING,       /* for the next try */
        PHASE_CONNECTING,
        PHASE_OPEN,          /* bytes go both ways */
        PHASE_LAST_IN,       /* they have hung up: what they said is on its way to the guest */
        PHASE_LAST_OUT,      /* QEMU has: what it said is on its way to them */
} Phase;

/* Bytes that go one way: more are read when they are gone. */
typedef struct Flow {
        size_t from, to;
        char data[OUTSIDE_READ_MAX];
} Flow;

typedef struct Relay {
        const RelaySpec *spec;
        Outside *outside;
        int qemu;                /* -1: not connected */
        Phase phase;
        uint64_t until;          /* its deadline */
        Flow in, out;            /* as the guest sees it */
        bool lossy;              /* nobody empties the FIFO: what does not fit into it is lost at once */
        bool told_end;           /* QEMU knows that nothing comes any more */
        bool last;               /* QEMU ends: nothing begins any more */
        bool complained;
} Relay;

static bool is_empty(const Flow *f) {
        return f->from == f->to;
}

static void clear(Flow *f) {
        f->from = f->to = 0;
}

static void enter(Relay *r, Phase phase, uint64_t usec) {
        r->phase = phase;
        r->until = usec == NEVER ? NEVER : now_usec(CLOCK_MONOTONIC) + usec;
}

/* --- beginning and end --- */

static void over(Relay *r) {
        bool returns = outside_comes_and_goes(r->outside);

        r->qemu = fd_close(r->qemu);
        clear(&r->in);
        clear(&r->out);
        r->lossy = r->told_end = false;
        if (returns)
                outside_close(r->outside);
        enter(r, PHASE_WAITING, (returns ? r->spec->retry_sec : QEMU_RETRY_SEC) * SEC);
}

/* Said once, however long it takes. */
static void not_there(Relay *r, int error) {
        if (!r->complained)
                fprintf(stderr, "%s: %s; it is tried again every %u s\n", r->spec->name, strerror(error), r->spec->retry_sec);
        r->complained = true;
        over(r);
}

/* The guest sees that somebody is there. Until QEMU looks they are in its queue. */
static void meet(Relay *r) {
        char way[sizeof("/proc/self/fd/") + 11];

        (void) snprintf(way, sizeof(way), "/proc/self/fd/%d", r->spec->place);
        r->qemu = socket_connect_unix(way);
        if (r->qemu < 0) {
                fprintf(stderr, "QEMU can't be reached: %s\n", strerror(-r->qemu));
                over(r);
                return;
        }
        if (outside_comes_and_goes(r->outside))
                fprintf(stderr, "%s: connected\n", r->spec->name);
        r->complained = false;
        enter(r, PHASE_OPEN, NEVER);
}

static void begin(Relay *r) {
        int q = r->outside->out < 0 ? outside_open(r->outside) : 0;

        if (q < 0)
                not_there(r, -q);
        else if (q > 0)
                enter(r, PHASE_CONNECTING, CONNECT_USEC);
        else
                meet(r);
}

static void connected(Relay *r) {
        int q = outside_connected(r->outside);

        if (q < 0)
                not_there(r, -q);
        else
                meet(r);
}

/* QEMU reads to the end and then hangs up, too; if it were hung up on it might not read what is still there. */
static void tell_end(Relay *r) {
        if (is_empty(&r->in) && !r->told_end)
                r->told_end = shutdown(r->qemu, SHUT_WR) >= 0;
}

static void outside_gone(Relay *r, const char *why) {
        fprintf(stderr, "%s: %s\n", r->spec->name, why);
        outside_close(r->outside);
        clear(&r->out);
        if (r->qemu < 0) {
                over(r);
                return;
        }
        enter(r, PHASE_LAST_IN, LAST_USEC);
        tell_end(r);
}

static void qemu_gone(Relay *r) {
        r->qemu = fd_close(r->qemu);
        clear(&r->in);
        if (is_empty(&r->out))
                over(r);
        else
                enter(r, PHASE_LAST_OUT, LAST_USEC);
}

/* --- bytes --- */

static bool is_lasting(ssize_t error) {
        return error != -EAGAIN && error != -EINTR;
}

static uint64_t patience(const Relay *r) {
        if (r->phase != PHASE_OPEN || r->last)
                return LAST_USEC;
        return r->outside->kind == OUTSIDE_PIPE ? FULL_USEC : STALLED_USEC;
}

static void push_out(Relay *r) {
        Flow *f = &r->out;
        ssize_t n = 0;

        while (!is_empty(f)) {
                n = outside_write(r->outside, f->data + f->from, f->to - f->from);
                if (n <= 0)
                        break;
                f->from += (size_t) n;
                r->lossy = false;
                r->until = NEVER;
        }
        if (n < 0 && is_lasting(n)) {
                outside_gone(r, strerror((int) -n));
                return;
        }
        if (r->lossy)
                clear(f);
        if (!is_empty(f) && r->until == NEVER)
                enter(r, r->phase, patience(r));
}

static void push_in(Relay *r) {
        Flow *f = &r->in;
        ssize_t n = send(r->qemu, f->data + f->from, f->to - f->from, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && is_lasting(-errno)) {
                qemu_gone(r);
                return;
        }
        f->from += (size_t) MAX(n, 0);
        if (n > 0 && r->phase == PHASE_LAST_IN)
                enter(r, PHASE_LAST_IN, LAST_USEC);
}

static void carry_out(Relay *r) {
        if (is_empty(&r->out)) {
                ssize_t n = recv(r->qemu, r->out.data, sizeof(r->out.data), MSG_DONTWAIT);

                if (n == 0 || (n < 0 && is_lasting(-errno)))
                        qemu_gone(r);
                if (n <= 0)
                        return;
                r->out.from = 0;
                r->out.to = (size_t) n;
        }
        push_out(r);
}

static void carry_in(Relay *r) {
        if (is_empty(&r->in)) {
                ssize_t n = outside_read(r->outside, r->in.data, sizeof(r->in.data));

                if (n == 0 || (n < 0 && is_lasting(n)))
                        outside_gone(r, n == 0 ? "has hung up" : strerror((int) -n));
                if (n <= 0)
                        return;
                r->in.from = 0;
                r->in.to = (size_t) n;
        }
        push_in(r);
}

static void finish_in(Relay *r) {
        ssize_t n;

        if (!is_empty(&r->in))
                push_in(r);
        if (r->phase != PHASE_LAST_IN)
                return;
        tell_end(r);
        n = recv(r->qemu, r->out.data, sizeof(r->out.data), MSG_DONTWAIT); /* for nobody */
        if (n == 0 || (n < 0 && is_lasting(-errno)))
                over(r);
}

static void finish_out(Relay *r) {
        push_out(r);
        if (r->phase == PHASE_LAST_OUT && is_empty(&r->out))
                over(r);
}

/* --- the loop --- */

static void watch(struct pollfd *p, int fd, bool in, bool out) {
        /* With nothing to be waited for its end would be told again and again. */
        *p = (struct pollfd) { .fd = in || out ? fd : -1, .events = (short) ((in ? POLLIN : 0) | (out ? POLLOUT : 0)) };
}

enum { WATCH_LIFE, WATCH_QEMU, WATCH_READ, WATCH_WRITE, N_WATCHES };

static int timeout_msec(const Relay *r, bool look) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), left = r->until == NEVER ? NEVER : r->until - MIN(r->until, now);

        if (look)
                left = MIN(left, LOOK_USEC);
        return left == NEVER ? -1 : (int) MIN((left + 999) / 1000, (uint64_t) INT_MAX);
}

static void wait_for_more(Relay *r, struct pollfd watches[static N_WATCHES]) {
        bool open = r->phase == PHASE_OPEN, last_in = r->phase == PHASE_LAST_IN, wants_in = open && is_empty(&r->in);
        bool may_read = wants_in && outside_may_read(r->outside);

        watch(&watches[WATCH_LIFE], r->spec->life, !r->last, false);
        watch(&watches[WATCH_QEMU], r->qemu, last_in || (open && is_empty(&r->out)), (open || last_in) && !is_empty(&r->in));
        watch(&watches[WATCH_READ], r->outside->in, may_read, false);
        watch(&watches[WATCH_WRITE], r->outside->out, false, r->phase == PHASE_CONNECTING || !is_empty(&r->out));
        if (poll(watches, N_WATCHES, timeout_msec(r, wants_in && !may_read)) < 0)
                for (size_t i = 0; i < N_WATCHES; i++)
                        watches[i].revents = 0;
}

static void look_at_life(Relay *r) {
        char byte;
        ssize_t n = recv(r->spec->life, &byte, sizeof(byte), MSG_DONTWAIT);

        r->last = n == 0 || (n < 0 && is_lasting(-errno));
        if (r->last && r->phase == PHASE_OPEN && r->until != NEVER)
                enter(r, PHASE_OPEN, LAST_USEC);
}

static void step(Relay *r, bool writable) {
        switch (r->phase) {
        case PHASE_WAITING:
                break;
        case PHASE_CONNECTING:
                if (writable)
                        connected(r);
                break;
        case PHASE_OPEN:
                carry_out(r);
                if (r->phase == PHASE_OPEN)
                        carry_in(r);
                break;
        case PHASE_LAST_IN:
                finish_in(r);
                break;
        case PHASE_LAST_OUT:
                finish_out(r);
                break;
        }
}

static void stalled(Relay *r) {
        if (r->outside->kind != OUTSIDE_PIPE) {
                outside_gone(r, "takes nothing any more, and is hung up on");
                return;
        }
        r->lossy = true;
        clear(&r->out);
        r->until = NEVER;
}

static void on_deadline(Relay *r) {
        switch (r->phase) {
        case PHASE_WAITING:
                begin(r);
                break;
        case PHASE_CONNECTING:
                not_there(r, ETIMEDOUT);
                break;
        case PHASE_OPEN:
                stalled(r);
                break;
        case PHASE_LAST_IN:
        case PHASE_LAST_OUT:
                over(r);
                break;
        }
}

void relay_run(const RelaySpec *spec) {
        static Relay r = { .qemu = -1 }; /* too much for a stack */
        struct pollfd watches[N_WATCHES];

        assert(spec && spec->outside);

        r.spec = spec;
        r.outside = spec->outside;
        while (!r.last || (r.phase != PHASE_WAITING && r.phase != PHASE_CONNECTING)) {
                wait_for_more(&r, watches);
                if (watches[WATCH_LIFE].revents)
                        look_at_life(&r);
                step(&r, watches[WATCH_WRITE].revents != 0);
                if (r.until != NEVER && now_usec(CLOCK_MONOTONIC) >= r.until)
                        on_deadline(&r);
        }
}
