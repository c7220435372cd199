/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logs.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "file.h"
#include "log-state.h"
#include "log.h"
#include "mem.h"
#include "store.h"
#include "str.h"

typedef struct Entry {
        Guestlog *log;
        const char *key;         /* the log's */
        UT_hash_handle hh;
} Entry;

struct Logs {
        LogsOptions options;
        GuestlogContext context;
        char *log_dir, *run_dir;
        Journal *journal;
        Store *states;           /* STATE/log/KEY.json: written when a log is opened and closed */
        Store *spares;           /* RUN/log/KEY.json: the newest ones that did not fit on the disk */
        Store *firsts;           /* RUN/log/KEY.first: of open ones, written at each rotation, which must not wait for a disk */
        Entry *entries;          /* hash by key, in the order they came */
        unsigned n_open;
        bool loading;
};

/* --- what is written down --- */

static int write_state(Logs *l, const Guestlog *g) {
        const GuestlogSpec *s = guestlog_spec(g);
        char uuid[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *text = NULL;
        json_t *o;
        int r;

        o = json_pack("{s:s, s:s, s:s, s:s*, s:I, s:i, s:b, s:I, s:b}", "uuid", sd_id128_to_uuid_string(s->uuid, uuid),
                      "domain", s->domain, "log", s->name, "unit", s->unit, "max-size", (json_int_t) s->limits.size,
                      "max-backups", (int) s->limits.backups, "journal", (int) s->journal, "first", (json_int_t) guestlog_first(g),
                      "open", guestlog_state(g) != GUESTLOG_CLOSED);
        text = o ? json_dumps(o, JSON_COMPACT) : NULL;
        json_decref(o);
        if (!text)
                return -ENOMEM;
        r = store_write(l->states, guestlog_key(g), text, strlen(text));
        if (r >= 0)
                return store_remove(l->spares, guestlog_key(g));
        /* A log that is open and that the next virtlogd does not know would be nobody's. */
        (void) log_warning_errno(r, "the state of the log %s can't be kept on disk: %m", guestlog_key(g));
        return store_write(l->spares, guestlog_key(g), text, strlen(text));
}

static int write_first(Logs *l, const Guestlog *g, uint64_t first) {
        char text[24];
        int n = snprintf(text, sizeof(text), "%" PRIu64, first);

        return store_write(l->firsts, guestlog_key(g), text, (size_t) n);
}

/* The later word about where the kept bytes begin. */
static void read_first(Logs *l, const char *key, uint64_t *first) {
        _cleanup_free_ char *text = NULL;
        size_t length;

        if (store_read(l->firsts, key, &text, &length) >= 0)
                (void) parse_u64(text, 10, first);
}

static void save(Logs *l, const Guestlog *g) {
        int r = write_state(l, g);

        if (r >= 0 && guestlog_state(g) == GUESTLOG_CLOSED)
                r = store_remove(l->firsts, guestlog_key(g));
        if (r < 0)
                (void) log_warning_errno(r, "the state of the log %s can't be kept: %m", guestlog_key(g));
}

/* --- the set --- */

static void count_open(Logs *l) {
        unsigned before = l->n_open;

        l->n_open = 0;
        for (Entry *e = l->entries; e; e = e->hh.next)
                l->n_open += guestlog_state(e->log) != GUESTLOG_CLOSED;
        if ((before > 0) != (l->n_open > 0))
                l->options.busy(l->n_open > 0, l->options.userdata);
}

static void on_changed(Guestlog *g, bool ended, void *userdata) {
        Logs *l = userdata;

        if (l->loading)
                return;
        save(l, g);
        count_open(l);
        l->options.changed(g, l->options.userdata);
}

/* A closed one is rotated by hand only. */
static int on_rotating(Guestlog *g, uint64_t first, void *userdata) {
        return guestlog_state(g) == GUESTLOG_CLOSED ? 0 : write_first(userdata, g, first);
}

static int add(Logs *l, Guestlog *g) {
        Entry *e = new0(Entry, 1);

        if (!e)
                return -ENOMEM;
        e->log = g;
        e->key = guestlog_key(g);
        HASH_ADD_KEYPTR(hh, l->entries, e->key, strlen(e->key), e);
        return 0;
}

static Entry *find(const Logs *l, const char *key) {
        Entry *e;

        HASH_FIND_STR(l->entries, key, e);
        return e;
}

static void remove_entry(Logs *l, Entry *e) {
        HASH_DEL(l->entries, e);
        guestlog_free(e->log);
        free(e);
}

int logs_new(const LogsOptions *options, Logs **ret) {
        _cleanup_free_ char *states = strf("%s/log", options->state_dir);
        _cleanup_(logs_freep) Logs *l = NULL;
        int r;

        assert(options && ret);

        l = new0(Logs, 1);
        if (!l)
                return -ENOMEM;
        l->options = *options;
        l->log_dir = strf("%s/qemu", options->log_dir);
        l->run_dir = strf("%s/log", options->run_dir);
        if (!l->log_dir || !l->run_dir || !states)
                return -ENOMEM;
        r = store_new(states, ".json", &l->states);
        if (r >= 0)
                r = store_new(l->run_dir, ".first", &l->firsts);
        if (r >= 0)
                r = store_new(l->run_dir, ".json", &l->spares);
        if (r >= 0)
                r = mkdir_parents(l->run_dir, 0700);
        if (r >= 0)
                r = journal_new(&l->journal);
        if (r < 0)
                return r;
        l->context = (GuestlogContext) {
                .event = options->event, .settings = options->settings, .journal = l->journal, .log_dir = l->log_dir,
                .run_dir = l->run_dir, .user = options->user, .changed = on_changed, .rotating = on_rotating, .userdata = l,
        };
        *ret = TAKE_PTR(l);
        return 0;
}

Logs *logs_free(Logs *l) {
        if (!l)
                return NULL;
        while (l->entries) {
                guestlog_settle(l->entries->log);
                remove_entry(l, l->entries);
        }
        journal_free(l->journal);
        store_free(l->states);
        store_free(l->firsts);
        store_free(l->spares);
        free(l->log_dir);
        free(l->run_dir);
        free(l);
        return NULL;
}

/* --- loading --- */

static int load_one(Logs *l, const GuestlogSpec *spec, uint64_t first, bool open) {
        _cleanup_(guestlog_freep) Guestlog *g = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        r = guestlog_new(&l->context, spec, first, &g, &f);
        if (r < 0)
                return log_error_errno(r, "%s", fault_text(&f));
        if (open) {
                r = guestlog_resume(g);
                if (r < 0) { /* we died after its end, before that was written down */
                        log_info("the log %s has ended meanwhile", guestlog_key(g));
                        save(l, g);
                }
        }
        r = add(l, g);
        if (r < 0)
                return r;
        g = NULL;
        return 0;
}

static int on_state(const char *name, const char *text, size_t length, int error, void *userdata) {
        GuestlogSpec spec = {};
        uint64_t first = 0;
        Logs *l = userdata;
        json_t *owner = NULL;
        bool open = false;
        int r = error;

        if (find(l, name)) /* a newer one was found before */
                return 0;
        if (r >= 0)
                r = log_state_parse(text, length, &spec, &first, &open, &owner);
        if (r < 0)
                (void) log_warning_errno(r, "the state of the log %s can't be read: %m", name);
        else {
                if (open)
                        read_first(l, name, &first);
                (void) load_one(l, &spec, first, open);
        }
        json_decref(owner);
        return 0;
}

/* We died between the word that a log has ended and the end of what only an open one needs. */
static int on_first(const char *name, const char *text, size_t length, int error, void *userdata) {
        Logs *l = userdata;
        Entry *e = find(l, name);

        if (!e || guestlog_state(e->log) == GUESTLOG_CLOSED)
                (void) store_remove(l->firsts, name);
        return 0;
}

int logs_load(Logs *l) {
        int r;

        assert(l);

        l->loading = true;
        r = store_scan(l->spares, on_state, l);
        if (r >= 0)
                r = store_scan(l->states, on_state, l);
        if (r >= 0)
                r = store_scan(l->firsts, on_first, l);
        l->loading = false;
        count_open(l);
        return r;
}

/* --- using --- */

static void forget(Logs *l, Entry *e) {
        (void) store_remove(l->states, e->key);
        (void) store_remove(l->spares, e->key);
        l->options.removed(e->log, l->options.userdata);
        remove_entry(l, e);
}

static bool is_unused(const Guestlog *g) {
        return guestlog_state(g) == GUESTLOG_CLOSED && guestlog_followers(g) == 0;
}

/* Another domain had the name and the file that are this one's now: transient ones come with another uuid each time. */
static void forget_predecessors(Logs *l, const GuestlogSpec *spec) {
        Entry *e, *next;

        HASH_ITER(hh, l->entries, e, next) {
                const GuestlogSpec *s = guestlog_spec(e->log);

                if (!streq(s->domain, spec->domain) || !streq(s->name, spec->name))
                        continue;
                guestlog_settle(e->log);
                if (is_unused(e->log))
                        forget(l, e);
        }
}

/* A closed log whose files are gone has nothing left to say. Should that not do, those that were opened first are only files from now on:
 * what domains of the past wrote must not keep new ones from running. */
static int make_room(Logs *l, Fault *f) {
        Entry *e, *next;

        if (HASH_COUNT(l->entries) < LOGS_MAX)
                return 0;
        HASH_ITER(hh, l->entries, e, next)
                if (is_unused(e->log) && access(guestlog_path(e->log), F_OK) < 0)
                        forget(l, e);
        HASH_ITER(hh, l->entries, e, next)
                if (HASH_COUNT(l->entries) >= LOGS_MAX && is_unused(e->log))
                        forget(l, e);
        return HASH_COUNT(l->entries) < LOGS_MAX ? 0 : fault_set(f, FAULT_LIMIT, ENOSPC, "there are %u logs already", LOGS_MAX);
}

static int make_log(Logs *l, const GuestlogSpec *spec, Guestlog **ret, Fault *f) {
        _cleanup_(guestlog_freep) Guestlog *g = NULL;
        int r;

        forget_predecessors(l, spec);
        r = make_room(l, f);
        if (r >= 0)
                r = guestlog_new(&l->context, spec, 0, &g, f);
        if (r >= 0 && add(l, g) < 0)
                r = fault_oom(f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(g);
        l->options.added(*ret, l->options.userdata);
        return 0;
}

int logs_open(Logs *l, const GuestlogSpec *wanted, int *ret_fd, Fault *f) {
        char uuid[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *key = NULL;
        GuestlogSpec spec = *wanted;
        Guestlog *g;
        Entry *e;
        int r;

        assert(l && ret_fd);

        r = log_name_check(spec.name, f);
        if (r < 0)
                return r;
        if (!*spec.domain || strlen(spec.domain) > STORE_NAME_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the name of a domain has 1 to %u bytes", STORE_NAME_MAX);
        if (spec.limits.size == 0)
                spec.limits.size = l->options.settings->max_size;
        if (spec.limits.backups == UINT_MAX)
                spec.limits.backups = (unsigned) l->options.settings->max_backups;
        key = strf("%s.%s", sd_id128_to_uuid_string(spec.uuid, uuid), spec.name);
        if (!key)
                return fault_oom(f);
        e = find(l, key);
        /* The domain was renamed: its new output goes where its new name says. */
        if (e && guestlog_state(e->log) == GUESTLOG_CLOSED && !streq(guestlog_spec(e->log)->domain, spec.domain)) {
                l->options.removed(e->log, l->options.userdata);
                remove_entry(l, TAKE_PTR(e));
        }
        g = e ? e->log : NULL;
        if (!g)
                r = make_log(l, &spec, &g, f);
        return r < 0 ? r : guestlog_open(g, &spec, ret_fd, f);
}

Guestlog *logs_find_key(Logs *l, const char *key) {
        Entry *e = find(l, key);

        return e ? e->log : NULL;
}

int logs_find(Logs *l, sd_id128_t uuid, const char *name, Guestlog **ret, Fault *f) {
        char text[SD_ID128_UUID_STRING_MAX];
        _cleanup_free_ char *key = NULL;
        int r;

        r = log_name_check(name, f);
        if (r < 0)
                return r;
        key = strf("%s.%s", sd_id128_to_uuid_string(uuid, text), name);
        if (!key)
                return fault_oom(f);
        *ret = logs_find_key(l, key);
        return *ret ? 0 : fault_set(f, FAULT_NO_SUCH_LOG, ENOENT, "the domain %s has no log \"%s\"", text, name);
}

Guestlog *logs_next(Logs *l, const Guestlog *g) {
        Entry *e = g ? find(l, guestlog_key(g)) : NULL;

        e = g ? (e ? e->hh.next : NULL) : l->entries;
        return e ? e->log : NULL;
}
