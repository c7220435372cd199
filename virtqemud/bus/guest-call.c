/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-call.h"

#include "bus-error.h"
#include "bus.h"
#include "clock.h"
#include "manager.h"
#include "mem.h"

#define TIMEOUT_MAX (UINT64_C(3600) * 1000 * 1000)
#define ASLEEP_USEC (UINT64_C(3) * 1000 * 1000)      /* in which QEMU tells that the guest whose agent has gone sleeps */
#define ASLEEP_LOOK_USEC (UINT64_C(50) * 1000)

typedef struct GuestCall {
        Domain *domain;              /* there as long as its agent is */
        sd_bus_message *call;
        char *command;
        GuestAnswer answer;
        bool may_be_silent;
        Manager *manager;            /* and the rest: while it is waited for the guest to sleep, when the domain may go */
        sd_id128_t uuid;
        uint64_t until;
        Fault why;
} GuestCall;

static void guest_call_free(GuestCall *c) {
        sd_bus_message_unref(c->call);
        fault_clear(&c->why);
        free(c->command);
        free(c);
}

static int answer_call(const GuestCall *c, const json_t *result) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(c->call, &reply);

        if (r >= 0)
                r = c->answer(reply, result);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* --- a guest that falls asleep says nothing --- */

static void free_waiting(void *userdata) {
        guest_call_free(userdata);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        GuestCall *c = userdata;
        const Domain *d = manager_find_uuid(c->manager, c->uuid);

        if (d && d->state == DOMAIN_RUNNING && usec < c->until)
                return sd_event_source_set_time_relative(source, ASLEEP_LOOK_USEC) < 0 ? 0 : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        if (d && d->state != DOMAIN_RUNNING)
                (void) answer_call(c, NULL);
        else
                (void) bus_reply_fault(c->call, &c->why, -c->why.error);
        (void) sd_event_source_set_floating(source, false);
        return 0;
}

/* The channel closes before QEMU tells that the guest sleeps, or after. */
static int wait_asleep(GuestCall *c, const Fault *why) {
        sd_event_source *source = NULL;
        int r;

        c->manager = c->domain->manager;
        c->uuid = c->domain->uuid;
        c->until = now_usec(CLOCK_MONOTONIC) + ASLEEP_USEC;
        fault_copy(&c->why, why);
        r = sd_event_add_time_relative(c->manager->event, &source, CLOCK_MONOTONIC, ASLEEP_LOOK_USEC, 0, on_look, c);
        if (r < 0)
                return r;
        (void) sd_event_source_set_destroy_callback(source, free_waiting);
        (void) sd_event_source_set_floating(source, true);
        sd_event_source_unref(source);
        return 0;
}

static void on_reply(json_t *result, const Fault *why, void *userdata) {
        GuestCall *c = userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;
        bool slept = !result && c->may_be_silent && c->domain->state != DOMAIN_RUNNING;
        int r;

        if (!result && !slept && c->may_be_silent && why->kind == FAULT_DISCONNECTED && wait_asleep(c, why) >= 0)
                return;
        r = result || slept ? answer_call(c, result) : 0;
        if (r < 0)
                fault_set(&f, FAULT_GUEST_AGENT, EBADMSG, "what the guest agent answered to %s makes no sense", c->command);
        if (r < 0 || (!result && !slept))
                (void) bus_reply_fault(c->call, r < 0 ? &f : why, r < 0 ? r : -why->error);
        guest_call_free(c);
}

static int call(Domain *d, sd_bus_message *m, const char *command, json_t *arguments, uint64_t timeout_usec, GuestAnswer answer, bool may_be_silent,
                sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        GuestCall *c = new0(GuestCall, 1);
        int r;

        if (!c || !(c->command = strdup(command))) {
                json_decref(arguments);
                free(c);
                return -ENOMEM;
        }
        c->domain = d;
        c->call = sd_bus_message_ref(m);
        c->answer = answer;
        c->may_be_silent = may_be_silent;
        r = domain_ask_guest(d, command, arguments, timeout_usec, on_reply, c, NULL, &f);
        if (r >= 0)
                return 1;
        guest_call_free(c);
        return fault_to_bus(&f, r, error);
}

int guest_call(Domain *d, sd_bus_message *m, const char *command, json_t *arguments, uint64_t timeout_usec, GuestAnswer answer, sd_bus_error *error) {
        return call(d, m, command, arguments, timeout_usec, answer, false, error);
}

int guest_call_silent(Domain *d, sd_bus_message *m, const char *command, uint64_t timeout_usec, sd_bus_error *error) {
        return call(d, m, command, NULL, timeout_usec, guest_answer_nothing, true, error);
}

int guest_read_timeout(sd_bus_message *m, uint64_t *ret_usec, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags, timeout = 0;
        const BusOption options[] = { { "timeout", 't', &timeout } };
        int r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), &f);

        if (r >= 0 && timeout > TIMEOUT_MAX)
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the timeout is in µs, an hour at most");
        if (r < 0)
                return fault_to_bus(&f, r, error);
        *ret_usec = timeout;
        return 0;
}

int guest_answer_nothing(sd_bus_message *reply, const json_t *result) {
        return 0;
}
