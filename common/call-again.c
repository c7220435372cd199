/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "call-again.h"

#include <errno.h>

#include "bus-error.h"
#include "clock.h"
#include "mem.h"
#include "sdbus.h"

struct CallAgain {
        sd_bus *bus;
        sd_bus_message *request;
        sd_bus_slot *slot;
        uint64_t until;            /* CLOCK_MONOTONIC */
        sd_bus_message_handler_t answered;
        void *userdata;
};

CallAgain *call_again_free(CallAgain *c) {
        if (!c)
                return NULL;
        sd_bus_slot_unref(c->slot);
        sd_bus_message_unref(c->request);
        sd_bus_unref(c->bus);
        free(c);
        return NULL;
}

static int send_once_more(CallAgain *c);

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        CallAgain *c = userdata;

        c->slot = sd_bus_slot_unref(c->slot);
        if (sd_bus_error_has_name(sd_bus_message_get_error(reply), bus_error_name(FAULT_STOPPING)) && send_once_more(c) >= 0)
                return 0;
        return c->answered(reply, c->userdata, error);
}

/* A message that was sent can't be sent again. */
static int send_once_more(CallAgain *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        int r;

        if (now >= c->until)
                return -ETIMEDOUT;
        r = sd_bus_message_new_method_call(c->bus, &m, sd_bus_message_get_destination(c->request), sd_bus_message_get_path(c->request),
                                           sd_bus_message_get_interface(c->request), sd_bus_message_get_member(c->request));
        if (r >= 0)
                r = sd_bus_message_rewind(c->request, true);
        if (r >= 0)
                r = sd_bus_message_copy(m, c->request, true);
        return r < 0 ? r : sd_bus_call_async(c->bus, &c->slot, m, on_reply, c, c->until - now);
}

int call_again(sd_bus *bus, sd_bus_message *m, sd_bus_message_handler_t answered, void *userdata, uint64_t timeout_usec, CallAgain **ret) {
        _cleanup_(call_again_freep) CallAgain *c = NULL;
        int r;

        assert(bus && m && answered && ret);

        c = new0(CallAgain, 1);
        if (!c)
                return -ENOMEM;
        *c = (CallAgain) {
                .bus = sd_bus_ref(bus), .request = sd_bus_message_ref(m), .until = now_usec(CLOCK_MONOTONIC) + timeout_usec,
                .answered = answered, .userdata = userdata,
        };
        r = sd_bus_call_async(bus, &c->slot, m, on_reply, c, timeout_usec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}
