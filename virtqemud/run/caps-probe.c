/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "caps-probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "helper.h"
#include "host-kvm.h"
#include "log.h"
#include "mem.h"
#include "qmp.h"
#include "str.h"

#define CACHE_FORMAT 1u                          /* raise it when the probe learns to ask for more */
#define CACHE_FILE_MAX ((size_t) 4 * 1024 * 1024)

typedef struct Entry Entry;

struct CapsWait {
        TAILQ_ENTRY(CapsWait) link;
        Entry *entry;                   /* NULL: answered, or the store is gone */
        CapsFunc done;
        void *userdata;
        bool owned;
};

/* One QEMU that is being asked. */
typedef struct Probe {
        Entry *entry;
        char *program;                  /* the file itself, wherever links lead */
        char *key;                      /* of the binary when the probe began */
        bool kvm_pass;
        Helper *helper;
        Qmp *qmp;
        sd_event_source *deadline;
        const struct Question *asked;   /* the question that waits for its answer */
        QemuCaps *caps;
} Probe;

struct Entry {
        TAILQ_ENTRY(Entry) link;
        CapsStore *store;
        char *binary;
        char *key;                      /* what `caps` was made from */
        QemuCaps *caps;
        Probe *probe;
        TAILQ_HEAD(WaitList, CapsWait) waits;
};

struct CapsStore {
        sd_event *event;
        char *cache_dir;
        bool distrusts;                 /* programs that others than root can change */
        bool calling;
        TAILQ_HEAD(EntryList, Entry) entries;
};

/* ---- lifetime ---- */

static void probe_stop(Probe *p) {
        p->deadline = sd_event_source_disable_unref(p->deadline);
        p->qmp = qmp_free(p->qmp);
        p->helper = helper_free(p->helper);
}

static Probe *probe_free(Probe *p) {
        if (!p)
                return NULL;
        probe_stop(p);
        caps_free(p->caps);
        free(p->program);
        free(p->key);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(Probe *, probe_free)

static void wait_detach(CapsWait *w) {
        if (!w->entry)
                return;
        TAILQ_REMOVE(&w->entry->waits, w, link);
        w->entry = NULL;
}

CapsWait *caps_wait_free(CapsWait *w) {
        if (!w)
                return NULL;
        wait_detach(w);
        free(w);
        return NULL;
}

static Entry *entry_free(Entry *e) {
        CapsWait *w;

        if (!e)
                return NULL;
        while ((w = TAILQ_FIRST(&e->waits))) {
                wait_detach(w);
                if (!w->owned)
                        free(w);
        }
        probe_free(e->probe);
        caps_free(e->caps);
        free(e->key);
        free(e->binary);
        free(e);
        return NULL;
}
DEFINE_CLEANUP(Entry *, entry_free)

int caps_store_new(sd_event *e, const char *cache_dir, CapsStore **ret) {
        _cleanup_(caps_store_freep) CapsStore *s = new0(CapsStore, 1);

        assert(e && ret);

        if (!s)
                return -ENOMEM;
        TAILQ_INIT(&s->entries);
        s->event = sd_event_ref(e);
        if (free_and_strdup(&s->cache_dir, cache_dir) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(s);
        return 0;
}

void caps_store_distrust(CapsStore *s) {
        s->distrusts = true;
}

CapsStore *caps_store_free(CapsStore *s) {
        Entry *e;

        if (!s)
                return NULL;
        assert(!s->calling);
        while ((e = TAILQ_FIRST(&s->entries))) {
                TAILQ_REMOVE(&s->entries, e, link);
                entry_free(e);
        }
        sd_event_unref(s->event);
        free(s->cache_dir);
        free(s);
        return NULL;
}

static Entry *entry_get(CapsStore *s, const char *binary) {
        _cleanup_(entry_freep) Entry *e = NULL;
        Entry *known;

        TAILQ_FOREACH(known, &s->entries, link)
                if (streq(known->binary, binary))
                        return known;
        e = new0(Entry, 1);
        if (!e)
                return NULL;
        TAILQ_INIT(&e->waits);
        e->store = s;
        e->binary = strdup(binary);
        if (!e->binary)
                return NULL;
        TAILQ_INSERT_TAIL(&s->entries, e, link);
        return TAKE_PTR(e);
}

/* ---- the key: what must stay the same ---- */

static const char *package_of(const char *binary) {
        static const struct { const char *prefix, *package; } packages[] = {
                { "x86_64", "qemu-system-x86" }, { "i386", "qemu-system-x86" }, { "arm", "qemu-system-arm" },
                { "aarch64", "qemu-system-arm" }, { "ppc", "qemu-system-ppc" }, { "mips", "qemu-system-mips" },
                { "sparc", "qemu-system-sparc" },
        };
        const char *name = strrchr(binary, '/'), *target = str_after(name ? name + 1 : binary, "qemu-system-");

        for (size_t i = 0; target && i < ARRAY_SIZE(packages); i++)
                if (str_after(target, packages[i].prefix))
                        return packages[i].package;
        return target ? "qemu-system-misc" : NULL;
}

static int binary_fault(const char *binary, int error, Fault *f) {
        const char *package = package_of(binary);

        if (error == ENOENT || error == ENOTDIR) {
                fault_set(f, FAULT_NOT_SUPPORTED, ENOENT, "%s is not installed", binary);
                if (package)
                        fault_hint(f, "install %s", package);
                return -ENOENT;
        }
        return fault_set(f, FAULT_NOT_SUPPORTED, error, "%s can't be run: %s", binary, strerror(error));
}

static int binary_key(const char *binary, char **ret, Fault *f) {
        struct stat st;

        if (binary[0] != '/')
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%s\" is no absolute path of a QEMU", binary);
        if (stat(binary, &st) < 0)
                return binary_fault(binary, errno, f);
        if (!S_ISREG(st.st_mode) || access(binary, X_OK) < 0)
                return binary_fault(binary, EACCES, f);
        *ret = strf("%u %s %ju %jd.%09ld %jd %s", CACHE_FORMAT, binary, (uintmax_t) st.st_ino, (intmax_t) st.st_mtim.tv_sec,
                    st.st_mtim.tv_nsec, (intmax_t) st.st_size, host_has_kvm() ? "kvm" : "nokvm");
        return *ret ? 0 : fault_oom(f);
}

/* ---- the cache on disk ---- */

static char *cache_path(const Entry *e) {
        return e->store->cache_dir ? strf("%s/qemu-%016" PRIx64 ".json", e->store->cache_dir, str_hash(e->binary)) : NULL;
}

static void cache_load(Entry *e, const char *key) {
        _cleanup_free_ char *path = cache_path(e), *text = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_auto_t *root = NULL;
        QemuCaps *caps;
        size_t length;

        if (!path || file_read(path, CACHE_FILE_MAX, &text, &length) < 0)
                return;
        root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
        if (!streq_null(json_string_value(json_object_get(root, "key")), key))
                return;
        if (caps_from_json(json_object_get(root, "caps"), &caps, &f) < 0) {
                log_warning("%s: %s; asking QEMU again", path, fault_text(&f));
                return;
        }
        caps_free(e->caps);
        e->caps = caps;
        if (free_and_strdup(&e->key, key) < 0)
                e->caps = caps_free(e->caps);
}

/* Losing the cache costs a probe, no more. */
static void cache_save(const Entry *e) {
        _cleanup_free_ char *path = cache_path(e), *text = NULL;
        json_auto_t *root = NULL;
        int r;

        if (!path)
                return;
        root = json_pack("{s:s,s:o}", "key", e->key, "caps", caps_to_json(e->caps));
        text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        r = text ? mkdir_parents(e->store->cache_dir, 0755) : -ENOMEM;
        if (r >= 0)
                r = file_write_atomic(path, text, strlen(text), 0644);
        if (r < 0)
                log_warning_errno(r, "%s can't be written: %m", path);
}

/* ---- asking QEMU ---- */

static int probe_start_pass(Probe *p, Fault *f);

static void probe_finish(Probe *p, const Fault *fault) {
        Entry *e = p->entry;
        QemuCaps *caps = NULL;
        CapsWait *w;

        e->probe = NULL;
        if (!fault) {
                caps_free(e->caps);
                e->caps = TAKE_PTR(p->caps);
                free_and_replace(&e->key, TAKE_PTR(p->key));
                cache_save(e);
                caps = caps_ref(e->caps);
        }
        probe_free(p);

        e->store->calling = true;
        while ((w = TAILQ_FIRST(&e->waits))) {
                CapsFunc done = w->done;
                void *userdata = w->userdata;

                wait_detach(w);
                if (!w->owned)
                        free(w);
                done(e->store, e->binary, caps, fault, userdata);
        }
        e->store->calling = false;
        caps_free(caps);
}

/* A run with KVM that fails says only that KVM does not work here. */
static void probe_fail(Probe *p, const Fault *fault) {
        if (p->kvm_pass) {
                log_debug("%s: no KVM: %s", p->entry->binary, fault_text(fault));
                p->caps->kvm = false;
                probe_finish(p, NULL);
                return;
        }
        probe_finish(p, fault);
}

static void probe_pass_done(Probe *p) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        probe_stop(p);
        if (p->kvm_pass || !p->caps->kvm_present || p->caps->kvm || !str_ends(p->key, " kvm")) {
                probe_finish(p, NULL);
                return;
        }
        p->kvm_pass = true;
        if (probe_start_pass(p, &f) < 0)
                probe_fail(p, &f);
}

static int take_target(Probe *p, json_t *result, Fault *f) {
        const char *arch = json_string_value(json_object_get(result, "arch"));

        if (!arch)
                return fault_set(f, FAULT_QEMU, EBADMSG, "QEMU did not name its target");
        return free_and_strdup(&p->caps->target, arch) < 0 ? fault_oom(f) : 0;
}

/* Before the CPU models in both passes. A QEMU without TCG falls back to KVM in the first one. */
static int take_kvm(Probe *p, json_t *result, _unused_ Fault *f) {
        p->caps->kvm_present = json_is_true(json_object_get(result, "present"));
        p->caps->kvm = json_is_true(json_object_get(result, "enabled"));
        if (!p->kvm_pass)
                p->caps->tcg = !p->caps->kvm;
        return 0;
}

static int take_version(Probe *p, json_t *result, Fault *f) {
        const char *package = json_string_value(json_object_get(result, "package"));

        p->caps->version = qmp_version(p->qmp);
        return free_and_strdup(&p->caps->package, package ?: "") < 0 ? fault_oom(f) : 0;
}

static int take_machines(Probe *p, json_t *result, Fault *f) {
        return caps_take_machines(p->caps, result, f);
}

static int take_cpus(Probe *p, json_t *result, Fault *f) {
        return caps_take_cpus(p->caps, result, p->caps->kvm, f);
}

static int take_devices(Probe *p, json_t *result, Fault *f) {
        return caps_take_names(&p->caps->devices, result, NULL, f);
}

static int take_objects(Probe *p, json_t *result, Fault *f) {
        return caps_take_names(&p->caps->objects, result, NULL, f);
}

static int take_chardevs(Probe *p, json_t *result, Fault *f) {
        return caps_take_names(&p->caps->chardevs, result, "chardev-", f);
}

static int take_sandbox(Probe *p, json_t *result, _unused_ Fault *f) {
        p->caps->sandbox = json_array_size(result) > 0;
        return 0;
}

typedef struct Question {
        const char *command;
        const char *arguments;          /* JSON, or NULL */
        int (*take)(Probe *p, json_t *result, Fault *f);
        bool optional;                  /* some targets refuse it */
        bool with_kvm;                  /* asked again in the KVM pass */
} Question;

static const Question questions[] = {
        { "query-version",              NULL,                                              take_version },
        { "query-target",               NULL,                                              take_target },
        { "query-kvm",                  NULL,                                              take_kvm, .optional = true, .with_kvm = true },
        { "query-machines",             NULL,                                              take_machines },
        { "query-cpu-definitions",      NULL,                                              take_cpus, .optional = true, .with_kvm = true },
        { "qom-list-types",             "{\"implements\":\"device\",\"abstract\":false}",         take_devices },
        { "qom-list-types",             "{\"implements\":\"user-creatable\",\"abstract\":false}", take_objects },
        { "qom-list-types",             "{\"implements\":\"chardev\",\"abstract\":false}",        take_chardevs },
        { "query-command-line-options", "{\"option\":\"sandbox\"}",                        take_sandbox, .optional = true },
};

static const Question *question_next(const Probe *p, const Question *q) {
        for (q = q ? q + 1 : questions; q < questions + ARRAY_SIZE(questions); q++)
                if (!p->kvm_pass || q->with_kvm)
                        return q;
        return NULL;
}

static void question_ask(Probe *p, const Question *q);

static void on_answer(Qmp *qmp, json_t *result, const Fault *fault, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Probe *p = userdata;
        const Question *q = p->asked;
        int r = 0;

        /* When the connection is lost, on_closed() knows what to do. */
        if (!qmp_is_open(qmp))
                return;
        if (fault && !q->optional) {
                probe_fail(p, fault);
                return;
        }
        if (!fault)
                r = q->take(p, result, &f);
        if (r < 0) {
                fault_prefix(&f, "%s", p->entry->binary);
                probe_fail(p, &f);
                return;
        }
        q = question_next(p, q);
        if (q)
                question_ask(p, q);
        else
                probe_pass_done(p);
}

static void question_ask(Probe *p, const Question *q) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_t *arguments = q->arguments ? json_loads(q->arguments, 0, NULL) : NULL;

        p->asked = q;
        if ((q->arguments && !arguments) ||
            qmp_send(p->qmp, q->command, arguments, QMP_TIMEOUT_NEVER, on_answer, p, NULL) < 0) {
                fault_oom(&f);
                probe_fail(p, &f);
        }
}

static void on_qmp_ready(_unused_ Qmp *q, void *userdata) {
        Probe *p = userdata;

        question_ask(p, question_next(p, NULL));
}

static void on_qmp_closed(_unused_ Qmp *q, const Fault *why, void *userdata) {
        /* A QEMU that died has last words; they come with its end. */
        if (why->kind != FAULT_DISCONNECTED)
                probe_fail(userdata, why);
}

static const QmpWatch probe_watch = { .ready = on_qmp_ready, .closed = on_qmp_closed };

static void on_qemu_exit(Helper *h, int si_code, int status, void *userdata) {
        _cleanup_free_ char *how = helper_describe(h, si_code, status);
        _cleanup_fault_ Fault f = FAULT_INIT;
        Probe *p = userdata;

        fault_set(&f, FAULT_QEMU, EIO, "%s can't describe itself: it %s", p->entry->binary, how ?: "ended");
        probe_fail(p, &f);
}

static int on_deadline(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Probe *p = userdata;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "%s did not describe itself within %" PRIu64 " s", p->entry->binary,
                  CAPS_PROBE_USEC / 1000000);
        probe_fail(p, &f);
        return 0;
}

/* Whose it is, or who may write into it. What has the sticky bit is shared, but for what is in it. */
static bool is_roots(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0 || st.st_uid != 0)
                return false;
        return !(st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX)) && !(st.st_mode & S_IWGRP && st.st_gid != 0);
}

/* `path` has no links in it. */
static int check_owners(const char *path, Fault *f) {
        _cleanup_free_ char *part = strdup(path);

        if (!part)
                return fault_oom(f);
        for (char *end = part + strlen(part); end; end = strrchr(part, '/')) {
                *end = '\0';
                if (is_roots(*part ? part : "/"))
                        continue;
                fault_set(f, FAULT_NOT_SUPPORTED, EACCES, "%s is not asked what it can: others than root can change %s", path, *part ? part : "/");
                fault_hint(f, "have the program and all folders above it owned and written to by root alone");
                return -EACCES;
        }
        return 0;
}

/* It runs as we do: as root, who can't become another user here. */
static int find_program(Probe *p, Fault *f) {
        p->program = realpath(p->entry->binary, NULL);
        if (!p->program)
                return fault_set(f, FAULT_QEMU, errno, "%s can't be started: %m", p->entry->binary);
        return p->entry->store->distrusts ? check_owners(p->program, f) : 0;
}

static int probe_spawn(Probe *p) {
        const char *argv[] = {
                p->program, "-S", "-no-user-config", "-nodefaults", "-display", "none", "-machine", "none",
                "-accel", p->kvm_pass ? "kvm" : "tcg", "-chardev", "socket,id=m,fd=3", "-mon", "chardev=m,mode=control",
                p->kvm_pass ? NULL : "-accel", "kvm", NULL,
        };
        _cleanup_fd_ int ours = -1, theirs = -1;
        sd_event *event = p->entry->store->event;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];
        r = qmp_new(event, ours, p->entry->binary, CAPS_PROBE_USEC * 2, &probe_watch, p, &p->qmp);
        if (r < 0)
                return r;
        TAKE_FD(ours);
        r = helper_start(event, (char *const *) argv, -1, theirs, on_qemu_exit, p, &p->helper);
        if (r < 0)
                return r;
        return sd_event_add_time_relative(event, &p->deadline, CLOCK_MONOTONIC, CAPS_PROBE_USEC, 0, on_deadline, p);
}

static int probe_start_pass(Probe *p, Fault *f) {
        int r = probe_spawn(p);

        if (r < 0)
                return fault_set(f, FAULT_QEMU, -r, "%s can't be started: %s", p->entry->binary, strerror(-r));
        return 0;
}

static int probe_start(Entry *e, const char *key, Fault *f) {
        _cleanup_(probe_freep) Probe *p = new0(Probe, 1);
        int r;

        if (!p)
                return fault_oom(f);
        p->entry = e;
        p->key = strdup(key);
        p->caps = caps_new();
        if (!p->key || !p->caps)
                return fault_oom(f);
        r = find_program(p, f);
        if (r >= 0)
                r = probe_start_pass(p, f);
        if (r < 0)
                return r;
        e->probe = TAKE_PTR(p);
        return 0;
}

/* ---- the store ---- */

static QemuCaps *entry_known(Entry *e, const char *key) {
        if (!e->caps || !streq_null(e->key, key)) {
                e->caps = caps_free(e->caps);
                cache_load(e, key);
        }
        return e->caps;
}

QemuCaps *caps_store_peek(CapsStore *s, const char *binary) {
        _cleanup_free_ char *key = NULL;
        Entry *e;

        assert(s && binary);

        if (binary_key(binary, &key, NULL) < 0)
                return NULL;
        e = entry_get(s, binary);
        return e ? entry_known(e, key) : NULL;
}

static int entry_add_wait(Entry *e, CapsFunc done, void *userdata, CapsWait **ret) {
        CapsWait *w = new0(CapsWait, 1);

        if (!w)
                return -ENOMEM;
        *w = (CapsWait) { .entry = e, .done = done, .userdata = userdata, .owned = ret != NULL };
        TAILQ_INSERT_TAIL(&e->waits, w, link);
        if (ret)
                *ret = w;
        return 0;
}

int caps_store_get(CapsStore *s, const char *binary, CapsFunc done, void *userdata, CapsWait **ret) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *key = NULL;
        QemuCaps *caps = NULL;
        Entry *e;
        int r;

        assert(s && binary && done);

        r = binary_key(binary, &key, &f);
        if (r >= 0) {
                e = entry_get(s, binary);
                if (!e)
                        return -ENOMEM;
                caps = entry_known(e, key);
                if (!caps && !e->probe)
                        r = probe_start(e, key, &f);
                if (!caps && r >= 0)
                        return entry_add_wait(e, done, userdata, ret);
        }
        if (ret)
                *ret = NULL;
        done(s, binary, caps_ref(caps), caps ? NULL : &f, userdata);
        caps_free(caps);
        return 0;
}
