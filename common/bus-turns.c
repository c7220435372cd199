/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-turns.h"

#include <errno.h>
#include <malloc.h>
#include <sys/queue.h>

#include "clock.h"
#include "mem.h"
#include "str.h"

typedef struct Waiting {
        sd_bus_message *message;
        STAILQ_ENTRY(Waiting) link;
} Waiting;

#define FULL_USEC 1000u
#define SLICE_USEC 2000u      /* small calls are handled several at a time */
#define TRIES 8u
#define LOOK_USEC 1000u

/* Who has had a call handled since whatever had come was looked at, and who has more. */
typedef struct Sender {
        char *name;
        unsigned n;
        STAILQ_HEAD(, Waiting) calls;
        TAILQ_ENTRY(Sender) link;
} Sender;

struct BusTurns {
        sd_event_source *next, *later, *idle;
        TAILQ_HEAD(, Sender) senders;    /* who is next comes first */
        sd_bus_message *current;         /* put back to be handled now; not owned */
        bool finish;
        size_t memory;                   /* in use before anything was set aside */
        uint64_t looked;                 /* when it was seen last how much is in use, … */
        bool too_much;                   /* … and that it was */
        uint64_t since;                  /* turns were taken without a rest; 0: none waits */
};

static void sender_free(BusTurns *t, Sender *s) {
        Waiting *w;

        while ((w = STAILQ_FIRST(&s->calls))) {
                STAILQ_REMOVE_HEAD(&s->calls, link);
                sd_bus_message_unref(w->message);
                free(w);
        }
        TAILQ_REMOVE(&t->senders, s, link);
        free(s->name);
        free(s);
}

static Sender *find(BusTurns *t, const char *name) {
        Sender *s;

        TAILQ_FOREACH(s, &t->senders, link)
                if (streq(s->name, name))
                        return s;
        return NULL;
}

static Sender *add(BusTurns *t, const char *name) {
        Sender *s = new0(Sender, 1);

        if (!s)
                return NULL;
        s->name = strdup(name);
        if (!s->name) {
                free(s);
                return NULL;
        }
        STAILQ_INIT(&s->calls);
        TAILQ_INSERT_TAIL(&t->senders, s, link);
        return s;
}

static int arm(BusTurns *t, uint64_t usec) {
        int r;

        if (usec == 0)
                return sd_event_source_set_enabled(t->next, SD_EVENT_ONESHOT);
        r = sd_event_source_set_time_relative(t->later, usec);
        return r < 0 ? r : sd_event_source_set_enabled(t->later, SD_EVENT_ONESHOT);
}

/* The message goes where the connection looks first. */
static void put_back(BusTurns *t, Sender *s) {
        Waiting *w = STAILQ_FIRST(&s->calls);

        STAILQ_REMOVE_HEAD(&s->calls, link);
        s->n--;
        t->current = w->message;
        if (sd_bus_enqueue_for_read(sd_bus_message_get_bus(w->message), w->message) < 0) {
                t->current = NULL;
                (void) sd_bus_reply_method_errno(w->message, ENOMEM, NULL);
        }
        sd_bus_message_unref(w->message);
        free(w);
}

/* Whether answers wait for the message bus to take them: those of others would come to stand behind more of them. */
static bool is_full(const Sender *s) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(sd_bus_message_get_bus(STAILQ_FIRST(&s->calls)->message), &n) >= 0 && n > 0;
}

static uint64_t rest(BusTurns *t) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (t->since == 0)
                t->since = now;
        if (now < t->since + BUS_WORK_USEC)
                return 0;
        t->since = now + BUS_REST_USEC;
        (void) sd_event_source_set_enabled(t->idle, SD_EVENT_ONESHOT);
        return BUS_REST_USEC;
}

/* The rest is over when nobody has anything to do. */
static int on_idle(sd_event_source *source, void *userdata) {
        BusTurns *t = userdata;

        t->since = 0;
        return TAILQ_EMPTY(&t->senders) ? 0 : arm(t, 0);
}

static Sender *next_sender(BusTurns *t) {
        Sender *s;

        TAILQ_FOREACH(s, &t->senders, link)
                if (s->n > 0)
                        return s;
        return NULL;
}

/* The connection may have something else to do first. */
static void handle_one(BusTurns *t, Sender *s) {
        sd_bus *bus = sd_bus_message_get_bus(STAILQ_FIRST(&s->calls)->message);

        TAILQ_REMOVE(&t->senders, s, link);
        TAILQ_INSERT_TAIL(&t->senders, s, link);
        put_back(t, s);
        for (unsigned n = 0; t->current && n < TRIES; n++)
                if (sd_bus_process(bus, NULL) <= 0)
                        return;
}

static void forget_served(BusTurns *t) {
        Sender *s, *next;

        for (s = TAILQ_FIRST(&t->senders); s; s = next) {
                next = TAILQ_NEXT(s, link);
                if (s->n == 0)
                        sender_free(t, s);
        }
}

/* Runs when nothing has come any more. */
static int on_next(sd_event_source *source, void *userdata) {
        uint64_t end = now_usec(CLOCK_MONOTONIC) + SLICE_USEC;
        BusTurns *t = userdata;
        Sender *s;

        t->finish = false;
        forget_served(t);
        while ((s = next_sender(t)) && !is_full(s) && now_usec(CLOCK_MONOTONIC) < end)
                handle_one(t, s);
        if (TAILQ_EMPTY(&t->senders)) {
                t->since = t->memory = 0;
                return 0;
        }
        return arm(t, s && is_full(s) ? FULL_USEC : rest(t));
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata) {
        return on_next(source, userdata);
}

void bus_turns_finish(BusTurns *t) {
        Sender *s;

        t->finish = true;
        (void) arm(t, 0);
        TAILQ_FOREACH(s, &t->senders, link)
                while (s->n > 0)
                        put_back(t, s);
}

/* Nobody tells how large a message is; what it has cost can be seen. */
static size_t memory_in_use(void) {
        struct mallinfo2 m = mallinfo2();

        return m.uordblks + m.hblkhd;
}

/* To look takes as long as a small call where much was freed here and there. Between two looks no more can come than is read in that time. */
static bool has_room(BusTurns *t) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        size_t memory;

        if (t->memory > 0 && now < t->looked + LOOK_USEC)
                return !t->too_much;
        memory = memory_in_use();
        if (t->memory == 0)
                t->memory = memory;
        t->looked = now;
        t->too_much = memory > t->memory + BUS_TURNS_BYTES_MAX;
        return !t->too_much;
}

static bool set_aside(BusTurns *t, Sender *s, sd_bus_message *m) {
        Waiting *w;

        if (s->n >= BUS_TURNS_MAX || !has_room(t))
                return false;
        w = new0(Waiting, 1);
        if (!w)
                return false;
        w->message = sd_bus_message_ref(m);
        STAILQ_INSERT_TAIL(&s->calls, w, link);
        s->n++;
        return true;
}

bool bus_turns_take(BusTurns *t, sd_bus_message *m) {
        const char *name = sd_bus_message_get_sender(m);
        Sender *s;

        if (!name || sd_bus_message_is_method_call(m, NULL, NULL) <= 0 || t->finish)
                return false;
        if (m == t->current) {
                t->current = NULL;
                return false;
        }
        if (TAILQ_EMPTY(&t->senders))
                (void) arm(t, 0);
        s = find(t, name);
        if (s)
                return set_aside(t, s, m);
        (void) add(t, name);
        return false;
}

int bus_turns_new(sd_event *event, BusTurns **ret) {
        _cleanup_(bus_turns_freep) BusTurns *t = new0(BusTurns, 1);
        int r;

        if (!t)
                return -ENOMEM;
        TAILQ_INIT(&t->senders);
        r = sd_event_add_time(event, &t->later, CLOCK_MONOTONIC, 0, 1, on_later, t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->later, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &t->next, on_next, t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->next, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &t->idle, on_idle, t);
        if (r >= 0)
                r = sd_event_source_set_priority(t->idle, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->idle, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

BusTurns *bus_turns_free(BusTurns *t) {
        if (!t)
                return NULL;
        while (!TAILQ_EMPTY(&t->senders))
                sender_free(t, TAILQ_FIRST(&t->senders));
        sd_event_source_disable_unref(t->next);
        sd_event_source_disable_unref(t->later);
        sd_event_source_disable_unref(t->idle);
        free(t);
        return NULL;
}
