/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wait-address.h"

#include <sys/queue.h>

#include "../run/guest-agent.h"
#include "bus-error.h"
#include "mem.h"
#include "netaddr.h"
#include "str.h"

#define TIMEOUT_USEC (UINT64_C(120) * 1000 * 1000)
#define ASK_USEC (UINT64_C(2) * 1000 * 1000)   /* agents tell nothing by themselves */

typedef struct Wait {
        TAILQ_ENTRY(Wait) entry;
        AddressWaits *all;
        Domain *domain;
        Job *job;
        char *device;                /* NULL: any */
        int family;                  /* AF_UNSPEC: either */
        sd_event_source *timeout, *ask;
} Wait;

struct AddressWaits {
        TAILQ_HEAD(WaitList, Wait) items;
};

static void wait_free(Wait *w) {
        TAILQ_REMOVE(&w->all->items, w, entry);
        sd_event_source_disable_unref(w->timeout);
        sd_event_source_disable_unref(w->ask);
        free(w->device);
        free(w);
}

static void wait_end(Wait *w, const Fault *why) {
        Job *j = w->job;

        wait_free(w);
        job_finish(j, why ? -why->error : 0, why);
}

void address_waits_free(Service *s) {
        Wait *w;

        if (!s->address_waits)
                return;
        while ((w = TAILQ_FIRST(&s->address_waits->items)))
                wait_free(w);
        free(TAKE_PTR(s->address_waits));
}

/* What only reaches the host itself is no address to wait for. */
static bool is_local(const IpAddress *a) {
        return a->family == AF_INET ? a->bytes[0] == 127 || (a->bytes[0] == 169 && a->bytes[1] == 254)
                                    : IN6_IS_ADDR_LOOPBACK(&a->v6) || IN6_IS_ADDR_LINKLOCAL(&a->v6);
}

typedef struct Search {
        const Wait *wait;
        bool found;
} Search;

static int compare(const DomainAddress *a, void *userdata) {
        Search *s = userdata;

        s->found = s->found || ((!s->wait->device || streq(s->wait->device, a->device)) &&
                                (s->wait->family == AF_UNSPEC || s->wait->family == a->address.family) && !is_local(&a->address));
        return 0;
}

/* Whether it is over. */
static bool wait_look(Wait *w) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Search s = { .wait = w };

        (void) domain_each_address(w->domain, compare, &s);
        if (!s.found && domain_state_is_active(w->domain->state))
                return false;
        if (!s.found)
                fault_set(&f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s and has had no address", w->domain->name, domain_state_to_string(w->domain->state));
        wait_end(w, s.found ? NULL : &f);
        return true;
}

void address_waits_look(Service *s, Domain *d) {
        Wait *w, *next;

        for (w = s->address_waits ? TAILQ_FIRST(&s->address_waits->items) : NULL; w; w = next) {
                next = TAILQ_NEXT(w, entry);
                if (w->domain == d)
                        (void) wait_look(w);
        }
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Wait *w = userdata;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "the guest of %s has got no address in time", w->domain->name);
        fault_hint(&f, "look at its console; addresses that are not given by DHCP of ours are known from its agent alone");
        wait_end(w, &f);
        return 0;
}

static int on_ask(sd_event_source *source, uint64_t usec, void *userdata) {
        Wait *w = userdata;

        if (wait_look(w))
                return 0;
        domain_guest_refresh(w->domain);
        (void) sd_event_source_set_time_relative(source, ASK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_cancel(Job *j, void *userdata, Fault *f) {
        _cleanup_fault_ Fault why = FAULT_INIT;

        fault_set(&why, FAULT_CANCELED, ECANCELED, "it is not waited for any more");
        wait_end(userdata, &why);
        return 0;
}

static int read_family(const char *text, int *ret, Fault *f) {
        *ret = !text || !*text ? AF_UNSPEC : streq(text, "ipv4") ? AF_INET : streq(text, "ipv6") ? AF_INET6 : -1;
        return *ret >= 0 ? 0 : fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the family is ipv4 or ipv6, not \"%.16s\"", text);
}

/* Looked at from the loop: the call is answered before the job can end. */
static int begin(Service *s, Wait *w, sd_bus_message *m, uint64_t timeout, Fault *f) {
        sd_event *event = w->domain->manager->event;
        char path[DOMAIN_PATH_MAX];
        const JobSpec spec = {
                .operation = "wait-for-address", .object = domain_path(w->domain, path), .call = m, .reply_early = true, .cancel = on_cancel, .userdata = w,
        };
        int r = sd_event_add_time_relative(event, &w->timeout, CLOCK_MONOTONIC, timeout, 0, on_timeout, w);

        if (r >= 0)
                r = sd_event_add_time_relative(event, &w->ask, CLOCK_MONOTONIC, 0, 0, on_ask, w);
        return r < 0 ? r : job_new(s->jobs, &spec, &w->job, f);
}

static int new_wait(Service *s, Domain *d, const char *device, int family, Wait **ret) {
        Wait *w = new0(Wait, 1);

        if (w && !s->address_waits) {
                s->address_waits = new0(AddressWaits, 1);
                if (s->address_waits)
                        TAILQ_INIT(&s->address_waits->items);
        }
        if (!w || !s->address_waits) {
                free(w);
                return -ENOMEM;
        }
        *w = (Wait) { .all = s->address_waits, .domain = d, .family = family };
        TAILQ_INSERT_TAIL(&s->address_waits->items, w, entry);
        *ret = w;
        return device && *device && !(w->device = strdup(device)) ? -ENOMEM : 0;
}

int address_wait_new(Service *s, Domain *d, sd_bus_message *m, sd_bus_error *error) {
        const char *device = NULL, *family = NULL;
        uint64_t flags, timeout = TIMEOUT_USEC;
        const BusOption options[] = { { "interface", 's', &device }, { "family", 's', &family }, { "timeout", 't', &timeout } };
        _cleanup_fault_ Fault f = FAULT_INIT;
        Wait *w = NULL;
        int wanted, r;

        r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = read_family(family, &wanted, &f);
        if (r >= 0 && !domain_state_is_active(d->state))
                r = fault_set(&f, FAULT_INVALID_STATE, EINVAL, "%s is %s", d->name, domain_state_to_string(d->state));
        if (r >= 0)
                r = new_wait(s, d, device, wanted, &w);
        if (r >= 0)
                r = begin(s, w, m, timeout, &f);
        if (r >= 0)
                return 1;
        if (w)
                wait_free(w);
        return fault_to_bus(&f, r, error);
}
