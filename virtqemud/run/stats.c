/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats.h"

#include <string.h>
#include <sys/queue.h>

#include "../device/memballoon.h"
#include "clock.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "stats-host.h"
#include "stats-qemu.h"
#include "str.h"

#define DEADLINE_ACCURACY_USEC 1000u
#define UNCOUNTED_MAX 256u     /* disks whose histograms are switched on at once */

/* What QEMU is asked. */
typedef enum Question { ASK_BALLOON, ASK_GUEST_MEMORY, ASK_BLOCK, ASK_BACKING, ASK_DIRTY_RATE, ASK_HALT, _QUESTION_MAX } Question;

/* The one question of its kind that a QEMU has not answered yet. */
typedef struct Asked {
        DomainStats *stats;
        QmpRequest *request;
        uint64_t asked_usec;
        uint64_t wanted_usec;  /* somebody takes samples that are as old as the sampler's */
} Asked;

struct DomainStats {
        Domain *domain;
        StatsHost host;
        StatsSet sets[_STATS_GROUP_MAX];
        Asked asked[_QUESTION_MAX];
        bool latency;          /* somebody wants histograms */
};

struct StatsCollect {
        Sampler *sampler;
        sd_id128_t *ids;
        size_t n, next;        /* those before are there, or not waited for any more */
        uint64_t groups, began_usec;
        sd_event_source *deadline;
        StatsDone done;
        void *userdata;
        StatsCollect **handle;
        LIST_ENTRY(StatsCollect) link;
};

struct Sampler {
        Manager *manager;
        sd_event_source *timer;
        LIST_HEAD(, StatsCollect) collects;
        unsigned n_collects;
        NetDevices *net;
        uint64_t net_usec;
};

/* --- questions --- */

static int no_arguments(const Domain *d, json_t **ret) {
        return 0;
}

static int if_balloon(const Domain *d, json_t **ret) {
        return memballoon_id(d->live, NULL) ? 0 : -ENODEV;
}

static int guest_memory_arguments(const Domain *d, json_t **ret) {
        bool tells = false;
        const char *id = memballoon_id(d->live, &tells);
        _cleanup_free_ char *path = id && tells ? strf("/machine/peripheral/%s", id) : NULL;

        *ret = path ? json_pack("{s:s, s:s}", "path", path, "property", "guest-stats") : NULL;
        return *ret ? 0 : -ENODEV;
}

static void on_balloon(DomainStats *s, const json_t *result) {
        stats_read_balloon(s->domain->live, result, &s->sets[STATS_BALLOON]);
}

static void on_guest_memory(DomainStats *s, const json_t *result) {
        stats_read_guest_memory(result, &s->sets[STATS_GUEST_MEMORY]);
}

/* From then on QEMU counts how long requests take: to 10 µs, 100 µs, 1 ms, … 10 s. */
static void count_latency(const DomainStats *s, const json_t *result) {
        const char *names[UNCOUNTED_MAX];
        size_t n = stats_find_uncounted(s->domain->live, result, names, ARRAY_SIZE(names));

        for (size_t i = 0; i < n; i++) {
                json_t *arguments = json_pack("{s:s, s:[i, i, i, i, i, I, I]}", "id", names[i], "boundaries", 10000, 100000,
                                              1000000, 10000000, 100000000, (json_int_t) 1000000000, (json_int_t) 10000000000);

                if (arguments)
                        (void) domain_ask(s->domain, "block-latency-histogram-set", arguments, NULL, NULL, NULL);
        }
}

static void on_block(DomainStats *s, const json_t *result) {
        stats_read_block(s->domain->live, result, &s->sets[STATS_BLOCK], &s->sets[STATS_BLOCK_LATENCY]);
        if (s->latency)
                count_latency(s, result);
}

static void on_backing(DomainStats *s, const json_t *result) {
        stats_read_backing(s->domain->live, result, &s->sets[STATS_BLOCK_BACKING]);
}

static void on_dirty_rate(DomainStats *s, const json_t *result) {
        stats_read_dirty_rate(result, &s->sets[STATS_DIRTY_RATE]);
}

/* Each processor is interrupted for it. */
static int halt_arguments(const Domain *d, json_t **ret) {
        static const char *const names[] = STATS_HALT_NAMES;

        *ret = d->live->type == DOMAIN_TYPE_KVM ? json_pack("{s:s, s:[{s:s, s:[s, s, s]}]}", "target", "vcpu", "providers", "provider", "kvm",
                                                            "names", names[0], names[1], names[2]) : NULL;
        return *ret ? 0 : -ENODEV;
}

static void on_halt(DomainStats *s, const json_t *result) {
        stats_read_halt(result, &s->sets[STATS_VCPU_HALT]);
}

static const struct {
        const char *command;
        uint64_t groups;
        int (*arguments)(const Domain *d, json_t **ret);     /* negative: there is nothing to be asked */
        void (*answered)(DomainStats *s, const json_t *result);
} questions[_QUESTION_MAX] = {
        [ASK_BALLOON] = { "query-balloon", STATS_BIT(STATS_BALLOON), if_balloon, on_balloon },
        [ASK_GUEST_MEMORY] = { "qom-get", STATS_BIT(STATS_GUEST_MEMORY), guest_memory_arguments, on_guest_memory },
        [ASK_BLOCK] = { "query-blockstats", STATS_BIT(STATS_BLOCK) | STATS_BIT(STATS_BLOCK_LATENCY), no_arguments, on_block },
        [ASK_BACKING] = { "query-block", STATS_BIT(STATS_BLOCK_BACKING), no_arguments, on_backing },
        [ASK_DIRTY_RATE] = { "query-dirty-rate", STATS_BIT(STATS_DIRTY_RATE), no_arguments, on_dirty_rate },
        [ASK_HALT] = { "query-stats", STATS_BIT(STATS_VCPU_HALT), halt_arguments, on_halt },
};

static void look_at_collects(Sampler *s);

/* A QEMU that refuses a question has answered it: there is nothing to be told. */
static void on_answer(Qmp *q, json_t *result, const Fault *f, void *userdata) {
        Asked *a = userdata;
        DomainStats *s = a->stats;
        size_t which = (size_t) (a - s->asked);

        a->request = qmp_request_free(a->request);
        if (result && s->domain->live)
                questions[which].answered(s, result);
        else if (f && f->kind == FAULT_QEMU)
                for (StatsGroup g = 0; g < _STATS_GROUP_MAX; g++)
                        if (questions[which].groups & STATS_BIT(g))
                                stats_set_begin(&s->sets[g]);
        if (s->domain->manager->sampler)
                look_at_collects(s->domain->manager->sampler);
}

/* It is asked once, however long it takes to answer. */
static void ask(DomainStats *s, size_t which) {
        Asked *a = &s->asked[which];
        json_t *arguments = NULL;
        Qmp *q = s->domain->instance->monitor_ready ? domain_qmp(s->domain) : NULL;

        if (a->request || !q || questions[which].arguments(s->domain, &arguments) < 0)
                return;
        a->asked_usec = now_usec(CLOCK_MONOTONIC);
        (void) qmp_send(q, questions[which].command, arguments, QMP_TIMEOUT_NEVER, on_answer, a, &a->request);
}

static bool is_fresh(const DomainStats *s, uint64_t groups, uint64_t max_age, uint64_t now) {
        for (StatsGroup g = 0; g < _STATS_GROUP_MAX; g++)
                if ((groups & STATS_BIT(g)) && (s->sets[g].usec == 0 || now - s->sets[g].usec >= max_age))
                        return false;
        return true;
}

static void ask_what_is_old(DomainStats *s, uint64_t groups, uint64_t max_age, uint64_t now) {
        if (groups & STATS_BIT(STATS_BLOCK_LATENCY))
                s->latency = true;
        for (size_t i = 0; i < _QUESTION_MAX; i++) {
                if (!(questions[i].groups & groups))
                        continue;
                if (max_age >= STATS_INTERVAL_USEC)
                        s->asked[i].wanted_usec = now;
                if (!is_fresh(s, questions[i].groups & groups, max_age, now))
                        ask(s, i);
        }
}

/* --- the host --- */

static const NetDevices *find_net(Sampler *s, uint64_t now) {
        NetDevices *fresh;

        if ((!s->net || now - s->net_usec >= STATS_HOST_AGE_USEC) && net_devices_read(&fresh) >= 0) {
                net_devices_free(s->net);
                s->net = fresh;
                s->net_usec = now;
        }
        return s->net;
}

static void read_host(Sampler *sampler, DomainStats *s, uint64_t groups, uint64_t now) {
        static const struct {
                StatsGroup group;
                void (*read)(const Domain *d, StatsHost *h, StatsSet *s);
        } rows[] = { { STATS_CPU, stats_read_cpu }, { STATS_VCPU, stats_read_vcpu }, { STATS_MEMORY, stats_read_memory } };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if ((groups & STATS_BIT(rows[i].group)) && !is_fresh(s, STATS_BIT(rows[i].group), STATS_HOST_AGE_USEC, now))
                        rows[i].read(s->domain, &s->host, &s->sets[rows[i].group]);
        if ((groups & STATS_BIT(STATS_NET)) && !is_fresh(s, STATS_BIT(STATS_NET), STATS_HOST_AGE_USEC, now))
                stats_read_net(s->domain, find_net(sampler, now), &s->sets[STATS_NET]);
}

/* --- domains --- */

/* Of a domain whose QEMU is there. */
static DomainStats *get_stats(Domain *d) {
        Instance *i = d->instance;

        if (!i || i->qemu.pid == 0 || !d->live)
                return NULL;
        if (i->stats)
                return i->stats;
        i->stats = new0(DomainStats, 1);
        if (!i->stats)
                return NULL;
        i->stats->domain = d;
        for (size_t k = 0; k < _QUESTION_MAX; k++)
                i->stats->asked[k].stats = i->stats;
        return i->stats;
}

DomainStats *domain_stats_free(DomainStats *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < _QUESTION_MAX; i++)
                qmp_request_free(s->asked[i].request);
        for (size_t i = 0; i < _STATS_GROUP_MAX; i++)
                stats_set_clear(&s->sets[i]);
        stats_host_clear(&s->host);
        free(s);
        return NULL;
}

const StatsSet *stats_find(const Domain *d, StatsGroup group) {
        const DomainStats *s = d->instance ? d->instance->stats : NULL;

        assert(group >= 0 && group < _STATS_GROUP_MAX);

        return s && s->sets[group].usec > 0 ? &s->sets[group] : NULL;
}

bool stats_is_stale(const Domain *d, StatsGroup group) {
        const DomainStats *s = d->instance ? d->instance->stats : NULL;

        for (size_t i = 0; s && i < _QUESTION_MAX; i++)
                if ((questions[i].groups & STATS_BIT(group)) &&
                    (!d->instance->monitor_ready ||
                     (s->asked[i].request && now_usec(CLOCK_MONOTONIC) - s->asked[i].asked_usec >= STATS_DEADLINE_USEC)))
                        return true;
        return false;
}

/* --- collecting --- */

StatsCollect *stats_collect_free(StatsCollect *c) {
        if (!c)
                return NULL;
        if (c->sampler) {
                LIST_REMOVE(c, link);
                c->sampler->n_collects--;
        }
        if (c->handle)
                *c->handle = NULL;
        sd_event_source_disable_unref(c->deadline);
        free(c->ids);
        free(c);
        return NULL;
}

static void finish(StatsCollect *c) {
        StatsDone done = c->done;
        void *userdata = c->userdata;

        stats_collect_free(c);
        done(userdata);
}

/* Whether something is on its way that it is worth to wait for: not what was overdue when it came. */
static bool is_awaited(const StatsCollect *c, const Domain *d) {
        const DomainStats *s = d && d->instance ? d->instance->stats : NULL;

        for (size_t i = 0; s && i < _QUESTION_MAX; i++)
                if ((questions[i].groups & c->groups) && s->asked[i].request &&
                    c->began_usec < s->asked[i].asked_usec + STATS_DEADLINE_USEC)
                        return true;
        return false;
}

static bool is_complete(StatsCollect *c) {
        while (c->next < c->n && !is_awaited(c, manager_find_uuid(c->sampler->manager, c->ids[c->next])))
                c->next++;
        return c->next == c->n;
}

static void look_at_collects(Sampler *s) {
        StatsCollect *c, *next;

        for (c = LIST_FIRST(&s->collects); c; c = next) {
                next = LIST_NEXT(c, link);
                if (is_complete(c))
                        finish(c);
        }
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        finish(userdata);
        return 0;
}

/* --- rounds --- */

static bool ask_again(DomainStats *s, uint64_t now) {
        bool wanted = false;

        for (size_t i = 0; s && i < _QUESTION_MAX; i++)
                if (s->asked[i].wanted_usec > 0 && now - s->asked[i].wanted_usec < STATS_INTEREST_USEC) {
                        wanted = true;
                        ask(s, i);
                }
        return wanted;
}

/* As long as somebody comes for it. */
static int on_round(sd_event_source *source, uint64_t usec, void *userdata) {
        Sampler *s = userdata;
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        bool wanted = false;

        REGISTRY_FOREACH(Domain, d, s->manager->domains)
                if (d->instance && d->instance->stats && d->live)
                        wanted = ask_again(d->instance->stats, now) || wanted;
        (void) sd_event_source_set_time_relative(source, STATS_INTERVAL_USEC);
        return sd_event_source_set_enabled(source, wanted ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int arm_rounds(Sampler *s) {
        int enabled, r;

        if (!s->timer)
                return sd_event_add_time_relative(s->manager->event, &s->timer, CLOCK_MONOTONIC, STATS_INTERVAL_USEC, 0, on_round,
                                                  s);
        r = sd_event_source_get_enabled(s->timer, &enabled);
        if (r < 0 || enabled != SD_EVENT_OFF)
                return r;
        r = sd_event_source_set_time_relative(s->timer, STATS_INTERVAL_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

Sampler *sampler_free(Sampler *s) {
        if (!s)
                return NULL;
        while (!LIST_EMPTY(&s->collects))
                finish(LIST_FIRST(&s->collects));
        sd_event_source_disable_unref(s->timer);
        net_devices_free(s->net);
        free(s);
        return NULL;
}

static Sampler *get_sampler(Manager *m) {
        if (!m->sampler) {
                m->sampler = new0(Sampler, 1);
                if (m->sampler)
                        m->sampler->manager = m;
        }
        return m->sampler;
}

static int choose_domains(Manager *m, const sd_id128_t *ids, size_t n, StatsCollect *c) {
        c->n = n > 0 ? n : registry_count(m->domains);
        c->ids = new0(sd_id128_t, c->n);
        if (!c->ids)
                return -ENOMEM;
        if (n > 0) {
                memcpy(c->ids, ids, n * sizeof(*ids));
                return 0;
        }
        n = 0;
        REGISTRY_FOREACH(Domain, d, m->domains)
                c->ids[n++] = d->uuid;
        return 0;
}

/* QEMUs are asked first: they answer while the host's files are read. */
static void take_samples(StatsCollect *c, Sampler *sampler, uint64_t max_age) {
        for (size_t i = 0; i < c->n; i++) {
                Domain *d = manager_find_uuid(sampler->manager, c->ids[i]);
                DomainStats *s = d ? get_stats(d) : NULL;

                if (!s)
                        continue;
                ask_what_is_old(s, c->groups, max_age, c->began_usec);
                read_host(sampler, s, c->groups, c->began_usec);
        }
}

int stats_collect(Manager *m, const sd_id128_t *ids, size_t n, uint64_t groups, uint64_t max_age, StatsDone done, void *userdata,
                  StatsCollect **ret) {
        _cleanup_(stats_collect_freep) StatsCollect *c = new0(StatsCollect, 1);
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        Sampler *sampler;
        int r;

        assert(m && (ids || n == 0) && done);

        sampler = get_sampler(m);
        max_age = MAX(max_age, STATS_AGE_MIN_USEC);
        if (!c || !sampler)
                return -ENOMEM;
        *c = (StatsCollect) { .groups = groups, .began_usec = now, .done = done, .userdata = userdata };
        r = choose_domains(m, ids, n, c);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &c->deadline, CLOCK_MONOTONIC, STATS_DEADLINE_USEC,
                                               DEADLINE_ACCURACY_USEC, on_deadline, c);
        /* Answers that come late by then must not make it later still. */
        if (r >= 0)
                r = sd_event_source_set_priority(c->deadline, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0 && max_age >= STATS_INTERVAL_USEC)
                r = arm_rounds(sampler);
        if (r < 0)
                return r;
        take_samples(c, sampler, max_age);
        c->sampler = sampler;
        c->handle = ret;
        LIST_INSERT_HEAD(&sampler->collects, c, link);
        sampler->n_collects++;
        if (ret)
                *ret = c;
        if (sampler->n_collects > STATS_COLLECTS_MAX || is_complete(c))
                finish(TAKE_PTR(c));
        c = NULL;
        return 0;
}
