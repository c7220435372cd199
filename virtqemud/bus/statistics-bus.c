/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "statistics-bus.h"

#include <string.h>
#include <unistd.h>

#include "../run/instance.h"
#include "../run/operation.h"
#include "../run/stats.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "clock.h"
#include "mem.h"
#include "qmp-call.h"
#include "str.h"

#define SUBSCRIPTIONS_MAX 64u
#define SUBSCRIPTIONS_PER_USER_MAX 16u  /* of one user but root and ours */
#define INTERVAL_MIN_USEC UINT64_C(1000000)
#define INTERVAL_MAX_USEC UINT64_C(3600000000)
#define DIRTY_RATE_SECONDS_MAX 60u   /* QEMU's own limit */

/* Which domains, and what of them; without domains it is all there are. */
typedef struct Wanted {
        sd_id128_t *ids;
        size_t n, allocated;
        uint64_t groups;
} Wanted;

static void wanted_clear(Wanted *w) {
        free(w->ids);
        *w = (Wanted) {};
}

/* --- one domain --- */

static int append_list(sd_bus_message *m, const StatsValue *v) {
        int r = sd_bus_message_open_container(m, 'v', "at");

        if (r >= 0)
                r = sd_bus_message_append_array(m, 't', v->list.items, v->list.n * sizeof(*v->list.items));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_value(sd_bus_message *m, const StatsValue *v) {
        int r;

        if (v->type == 't')
                return sd_bus_message_append(m, "{sv}", v->key, "t", v->number);
        if (v->type == 'b')
                return sd_bus_message_append(m, "{sv}", v->key, "b", (int) v->number);
        if (v->type == 's')
                return sd_bus_message_append(m, "{sv}", v->key, "s", v->text);
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", v->key);
        if (r >= 0)
                r = append_list(m, v);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Each group tells how old it is, and when QEMU owes a newer one. */
static int append_group(sd_bus_message *m, const Domain *d, StatsGroup group, uint64_t now) {
        const StatsSet *s = stats_find(d, group);
        char key[STATS_KEY_MAX];
        int r = 0;

        for (size_t i = 0; s && i < s->n && r >= 0; i++)
                r = append_value(m, &s->items[i]);
        (void) snprintf(key, sizeof(key), "%s.age", stats_group_to_string(group));
        if (s && r >= 0)
                r = sd_bus_message_append(m, "{sv}", key, "t", now - MIN(now, s->usec));
        (void) snprintf(key, sizeof(key), "%s.stale", stats_group_to_string(group));
        if (r >= 0 && stats_is_stale(d, group))
                r = sd_bus_message_append(m, "{sv}", key, "b", 1);
        return r;
}

static int append_state(sd_bus_message *m, const Domain *d) {
        return sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "state.state", "s", domain_state_to_string(d->state), "state.reason",
                                     "s", state_reason_to_string(d->reason), "state.since", "t", d->state_usec, "state.started",
                                     "t", d->start_usec);
}

static int append_job(sd_bus_message *m, const Domain *d) {
        if (!d->operation)
                return 0;
        return sd_bus_message_append(m, "{sv}{sv}", "job.operation", "s", d->operation->name, "job.phase", "s",
                                     steps_current(d->operation->steps) ?: "");
}

/* As a{sv}. */
static int append_statistics(sd_bus_message *m, const Domain *d, uint64_t groups) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "name", "s", d->name);
        if (r >= 0 && (groups & STATS_BIT(STATS_STATE)))
                r = append_state(m, d);
        if (r >= 0 && (groups & STATS_BIT(STATS_JOB)))
                r = append_job(m, d);
        for (StatsGroup g = 0; g < _STATS_GROUP_MAX && r >= 0; g++)
                if (groups & STATS_BIT(g))
                        r = append_group(m, d, g, now);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_domain(sd_bus_message *m, const Domain *d, uint64_t groups) {
        char path[DOMAIN_PATH_MAX];
        int r;

        r = sd_bus_message_open_container(m, 'r', "oa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "o", domain_path(d, path));
        if (r >= 0)
                r = append_statistics(m, d, groups);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* --- what is wanted --- */

static int read_domains(sd_bus_message *m, Service *s, Wanted *w, Fault *f) {
        const char *path, *rest;
        Domain *d;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "o");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 'o', &path)) > 0) {
                if (domain_find_path(path, s->daemon, &d, &rest) <= 0 || *rest)
                        return fault_set(f, FAULT_NO_SUCH_DOMAIN, ENOENT, "there is no domain %.200s", path);
                if (w->n >= DOMAINS_MAX)
                        return fault_set(f, FAULT_LIMIT, E2BIG, "more than %u domains", DOMAINS_MAX);
                if (!GROW(w->ids, w->allocated, w->n + 1))
                        return -ENOMEM;
                w->ids[w->n++] = d->uuid;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_wanted(sd_bus_message *m, Service *s, Wanted *w, Fault *f) {
        int r = read_domains(m, s, w, f);

        if (r >= 0)
                r = sd_bus_message_read(m, "t", &w->groups);
        if (r < 0)
                return r;
        if (w->groups & ~STATS_ALL)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "there are no groups 0x%" PRIx64, w->groups & ~STATS_ALL);
        w->groups = w->groups ?: STATS_USUAL;
        return 0;
}

/* --- GetStatistics --- */

typedef struct Request {
        Service *service;
        sd_bus_message *message;
        Wanted wanted;
} Request;

static Request *request_free(Request *r) {
        if (r) {
                sd_bus_message_unref(r->message);
                wanted_clear(&r->wanted);
        }
        free(r);
        return NULL;
}
DEFINE_CLEANUP(Request *, request_free)

/* Those that have gone meanwhile are left out. */
static int append_all(sd_bus_message *reply, const Service *s, const Wanted *w) {
        int r = sd_bus_message_open_container(reply, 'a', "(oa{sv})");

        for (size_t i = 0; i < w->n && r >= 0; i++) {
                Domain *d = manager_find_uuid(s->manager, w->ids[i]);

                r = d ? append_domain(reply, d, w->groups) : 0;
        }
        if (w->n == 0)
                REGISTRY_FOREACH(Domain, d, s->manager->domains)
                        if (r >= 0)
                                r = append_domain(reply, d, w->groups);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void on_collected(void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(request_freep) Request *q = userdata;
        int r;

        r = sd_bus_message_new_method_return(q->message, &reply);
        if (r >= 0)
                r = append_all(reply, q->service, &q->wanted);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                (void) sd_bus_reply_method_errno(q->message, r, NULL);
}

static int get_statistics(sd_bus_message *m, Service *s, Fault *f) {
        _cleanup_(request_freep) Request *q = new0(Request, 1);
        uint64_t max_age = STATS_AGE_USEC;
        const BusOption options[] = { { "max-age-usec", 't', &max_age } };
        int r;

        if (!q)
                return -ENOMEM;
        q->service = s;
        q->message = sd_bus_message_ref(m);
        r = read_wanted(m, s, &q->wanted, f);
        if (r >= 0)
                r = bus_read_dict(m, options, ARRAY_SIZE(options), f);
        if (r >= 0)
                r = stats_collect(s->manager, q->wanted.ids, q->wanted.n, q->wanted.groups, max_age, on_collected, q, NULL);
        if (r >= 0)
                q = NULL; /* it has been answered, or will be */
        return r;
}

BUS_HANDLER(method_get_statistics, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = get_statistics(m, service_of(userdata), &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- subscriptions --- */

typedef struct Subscription Subscription;
struct Subscription {
        Service *service;
        Subscription *next;
        char *client;
        uid_t uid;
        Wanted wanted;
        uint64_t interval_usec;
        sd_bus_slot *watch, *question;
        sd_event_source *timer;
        StatsCollect *collect;
};

static Subscription *subscription_free(Subscription *s) {
        if (!s)
                return NULL;
        for (Subscription **p = &s->service->subscriptions; *p; p = &(*p)->next)
                if (*p == s) {
                        *p = s->next;
                        service_busy_changed(s->service);
                        break;
                }
        stats_collect_free(s->collect);
        sd_bus_slot_unref(s->watch);
        sd_bus_slot_unref(s->question);
        sd_event_source_disable_unref(s->timer);
        wanted_clear(&s->wanted);
        free(s->client);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(Subscription *, subscription_free)

void statistics_bus_clear(Service *s) {
        while (s->subscriptions)
                subscription_free(s->subscriptions);
}

static Subscription *find_subscription(const Service *s, const char *client) {
        for (Subscription *i = s->subscriptions; i; i = i->next)
                if (streq(i->client, client))
                        return i;
        return NULL;
}

static int tell(const Subscription *s, const Domain *d) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = bus_broker(s->service->bus);
        char path[DOMAIN_PATH_MAX];
        int r;

        r = sd_bus_message_new_signal(bus, &m, domain_path(d, path), QEMU1_DOMAIN, "StatisticsUpdated");
        if (r >= 0)
                r = sd_bus_message_set_destination(m, s->client);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", now_usec(CLOCK_REALTIME));
        if (r >= 0)
                r = append_statistics(m, d, s->wanted.groups);
        return r < 0 ? r : sd_bus_send(bus, m, NULL);
}

/* What does not run has nothing that changes. */
static void on_round_collected(void *userdata) {
        Subscription *s = userdata;

        for (size_t i = 0; i < s->wanted.n; i++) {
                Domain *d = manager_find_uuid(s->service->manager, s->wanted.ids[i]);

                if (d && d->instance)
                        (void) tell(s, d);
        }
        if (s->wanted.n == 0)
                REGISTRY_FOREACH(Domain, d, s->service->manager->domains)
                        if (d->instance)
                                (void) tell(s, d);
}

static int on_round(sd_event_source *source, uint64_t usec, void *userdata) {
        Subscription *s = userdata;
        /* Samples are taken for this round alone, not between rounds. */
        uint64_t max_age = MIN(s->interval_usec / 2, STATS_INTERVAL_USEC - 1);
        int r;

        if (!s->collect)
                (void) stats_collect(s->service->manager, s->wanted.ids, s->wanted.n, s->wanted.groups, max_age,
                                     on_round_collected, s, &s->collect);
        r = sd_event_source_set_time_relative(source, s->interval_usec);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_client_gone(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        subscription_free(userdata);
        return 1;
}

/* It may have gone before we began to watch it. */
static int on_has_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Subscription *s = userdata;
        int there = false;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "b", &there) < 0 || !there)
                subscription_free(s);
        else
                s->question = sd_bus_slot_unref(s->question);
        return 1;
}

static int watch_client(Subscription *s) {
        _cleanup_free_ char *match =
                strf("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", s->client);
        sd_bus *bus = bus_broker(s->service->bus);
        int r = match ? sd_bus_add_match_async(bus, &s->watch, match, on_client_gone, NULL, s) : -ENOMEM;

        if (r < 0)
                return r;
        return sd_bus_call_method_async(bus, &s->question, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                        "org.freedesktop.DBus", "NameHasOwner", on_has_owner, s, "s", s->client);
}

static int check_subscriber(Service *s, sd_bus_message *m, uint64_t interval, Fault *f) {
        const char *client = sd_bus_message_get_sender(m);
        uid_t uid = bus_sender_uid(m);
        unsigned n = 0, n_own = 0;

        if (bus_is_peer(s->bus, sd_bus_message_get_bus(m)) || !client)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP,
                                 "subscriptions are for clients on the message bus; here GetStatistics() tells");
        if (interval < INTERVAL_MIN_USEC || interval > INTERVAL_MAX_USEC)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "an interval is %" PRIu64 " to %" PRIu64 " µs, not %" PRIu64,
                                 INTERVAL_MIN_USEC, INTERVAL_MAX_USEC, interval);
        for (const Subscription *i = s->subscriptions; i; i = i->next) {
                n += !streq(i->client, client);
                n_own += i->uid == uid && !streq(i->client, client);
        }
        if (uid != 0 && uid != geteuid() && n_own >= SUBSCRIPTIONS_PER_USER_MAX)
                return fault_set(f, FAULT_LIMIT, EUSERS, "user %u has %u subscribers already", uid, n_own);
        return n < SUBSCRIPTIONS_MAX ? 0 :
               fault_set(f, FAULT_LIMIT, EUSERS, "there are %u subscribers already", SUBSCRIPTIONS_MAX);
}

static int subscribe(sd_bus_message *m, Service *service, Fault *f) {
        _cleanup_(subscription_freep) Subscription *s = new0(Subscription, 1);
        int r;

        if (!s)
                return -ENOMEM;
        s->service = service;
        r = read_wanted(m, service, &s->wanted, f);
        if (r >= 0)
                r = sd_bus_message_read(m, "t", &s->interval_usec);
        if (r >= 0)
                r = bus_read_dict(m, NULL, 0, f);
        if (r >= 0)
                r = check_subscriber(service, m, s->interval_usec, f);
        if (r < 0)
                return r;
        s->uid = bus_sender_uid(m);
        s->client = strdup(sd_bus_message_get_sender(m));
        r = s->client ? watch_client(s) : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_time_relative(bus_event(service->bus), &s->timer, CLOCK_MONOTONIC, 0, 0, on_round, s);
        if (r < 0)
                return r;
        /* The old one of this client's goes. */
        subscription_free(find_subscription(service, s->client));
        s->next = service->subscriptions;
        service->subscriptions = TAKE_PTR(s);
        service_busy_changed(service);
        return 0;
}

BUS_HANDLER(method_subscribe, BUS_ANYBODY) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = subscribe(m, service_of(userdata), &f);

        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

BUS_HANDLER(method_unsubscribe, BUS_OPEN) {
        const char *client = sd_bus_message_get_sender(m);

        subscription_free(client ? find_subscription(service_of(userdata), client) : NULL);
        return sd_bus_reply_method_return(m, NULL);
}

/* --- MeasureDirtyRate --- */

static int measure_dirty_rate(sd_bus_message *m, const Domain *d, Fault *f) {
        uint32_t seconds;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "u", &seconds);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, f);
        if (r < 0)
                return r;
        if (seconds < 1 || seconds > DIRTY_RATE_SECONDS_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "it is measured for 1 to %u seconds, not %u",
                                 DIRTY_RATE_SECONDS_MAX, seconds);
        return qmp_call(d, "calc-dirty-rate", json_pack("{s:i}", "calc-time", (int) seconds), NULL, m, f);
}

BUS_HANDLER(method_measure_dirty_rate, ACTION_POWER) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r = measure_dirty_rate(m, userdata, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- the interfaces --- */

const sd_bus_vtable statistics_manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("GetStatistics", "aota{sv}", SD_BUS_PARAM(domains) SD_BUS_PARAM(groups) SD_BUS_PARAM(options),
                                 "a(oa{sv})", SD_BUS_PARAM(statistics), method_get_statistics, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SubscribeStatistics", "aotta{sv}",
                                 SD_BUS_PARAM(domains) SD_BUS_PARAM(groups) SD_BUS_PARAM(interval) SD_BUS_PARAM(options), NULL,,
                                 method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("UnsubscribeStatistics", NULL, NULL, method_unsubscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

const sd_bus_vtable statistics_domain_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("MeasureDirtyRate", "uta{sv}", SD_BUS_PARAM(seconds) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 NULL,, method_measure_dirty_rate, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("StatisticsUpdated", "ta{sv}", SD_BUS_PARAM(timestamp) SD_BUS_PARAM(statistics), 0),
        SD_BUS_VTABLE_END
};
