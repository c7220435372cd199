/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define SDBUS_PLAIN_ANSWERS
#include "bus-calls.h"

#include <errno.h>
#include <sys/queue.h>

#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "str.h"

typedef struct Call {
        sd_bus_message *message;
        LIST_ENTRY(Call) link;
} Call;

struct BusCalls {
        LIST_HEAD(, Call) list;    /* the last one first: most are answered at once */
        const char *stopped;       /* the daemon that is being stopped; NULL: it is not */
};

static void call_free(Call *c) {
        LIST_REMOVE(c, link);
        sd_bus_message_unref(c->message);
        free(c);
}

int bus_calls_new(BusCalls **ret) {
        BusCalls *c = new0(BusCalls, 1);

        if (!c)
                return -ENOMEM;
        LIST_INIT(&c->list);
        *ret = c;
        return 0;
}

BusCalls *bus_calls_free(BusCalls *c) {
        if (!c)
                return NULL;
        while (!LIST_EMPTY(&c->list))
                call_free(LIST_FIRST(&c->list));
        free(c);
        return NULL;
}

static Call *find(const BusCalls *c, const sd_bus_message *call) {
        Call *i;

        LIST_FOREACH(i, &c->list, link)
                if (i->message == call)
                        return i;
        return NULL;
}

void bus_calls_begin(BusCalls *c, sd_bus_message *call) {
        Call *new;

        if (sd_bus_message_get_expect_reply(call) <= 0 || find(c, call))
                return;
        new = new0(Call, 1);
        if (!new)
                return; /* it is answered as any other, unless we are stopped */
        new->message = sd_bus_message_ref(call);
        LIST_INSERT_HEAD(&c->list, new, link);
}

/* sd-bus answers it when the handler has failed. */
int bus_calls_end(BusCalls *c, sd_bus_message *call, int r, const sd_bus_error *error) {
        Call *ended = r < 0 || sd_bus_error_is_set(error) ? find(c, call) : NULL;

        if (ended)
                call_free(ended);
        return r;
}

bool bus_calls_any(const BusCalls *c) {
        return !LIST_EMPTY(&c->list);
}

void bus_calls_forget(BusCalls *c, sd_bus *connection) {
        Call *i, *next;

        for (i = LIST_FIRST(&c->list); i; i = next) {
                next = LIST_NEXT(i, link);
                if (sd_bus_message_get_bus(i->message) == connection)
                        call_free(i);
        }
}

void bus_calls_refuse_one(const BusCalls *c, sd_bus_message *call) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = fault_set(&f, FAULT_STOPPING, ESHUTDOWN, "%s is being stopped, and %s() is not done", c->stopped, sd_bus_message_get_member(call));

        fault_hint(&f, "what has been begun is finished or undone when %s is back: look then, and call again if it is not done", c->stopped);
        (void) fault_to_bus(&f, r, &error);
        (void) sd_bus_reply_method_error(call, &error);
}

void bus_calls_refuse(BusCalls *c, const char *daemon) {
        c->stopped = daemon;
        while (!LIST_EMPTY(&c->list)) {
                bus_calls_refuse_one(c, LIST_FIRST(&c->list)->message);
                call_free(LIST_FIRST(&c->list));
        }
}

bool bus_calls_refused(const BusCalls *c) {
        return c->stopped;
}

/* --- answers, from sdbus.h --- */

static bool end_call(const BusCalls *c, Call *call) {
        if (call)
                call_free(call);
        return call || !c->stopped;
}

bool sdbus_may_answer(sd_bus_message *call) {
        Bus *b = bus_of(sd_bus_message_get_bus(call));
        const BusCalls *c = b ? bus_calls_of(b) : NULL;

        return !c || end_call(c, find(c, call));
}

/* An answer knows of its call what the bus needs. */
static Call *find_answered(const BusCalls *c, sd_bus_message *answer) {
        const char *destination = sd_bus_message_get_destination(answer);
        uint64_t expected, cookie;
        Call *i;

        if (sd_bus_message_get_reply_cookie(answer, &expected) < 0)
                return NULL;
        LIST_FOREACH(i, &c->list, link)
                if (sd_bus_message_get_bus(i->message) == sd_bus_message_get_bus(answer) &&
                    sd_bus_message_get_cookie(i->message, &cookie) >= 0 && cookie == expected &&
                    streq_null(sd_bus_message_get_sender(i->message), destination))
                        return i;
        return NULL;
}

bool sdbus_may_send(sd_bus_message *m) {
        uint64_t cookie;
        const BusCalls *c;
        Bus *b;

        if (sd_bus_message_get_reply_cookie(m, &cookie) < 0) /* a call or a signal */
                return true;
        b = bus_of(sd_bus_message_get_bus(m));
        c = b ? bus_calls_of(b) : NULL;
        return !c || end_call(c, find_answered(c, m));
}
