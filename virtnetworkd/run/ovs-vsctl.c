/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ovs-vsctl.h"

#include <signal.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "helper.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#define PROGRAM "/usr/bin/ovs-vsctl"
/* It ends itself by the alarm; what does not even do that is killed a little later. */
#define TIMEOUT_SEC 5u
#define TIMEOUT_OPTION "--timeout=5"
#define DEADLINE_USEC ((TIMEOUT_SEC + 2) * UINT64_C(1000000))
#define RUNNING_MAX 8u
#define WAITING_MAX 2048u

typedef struct Call {
        Vsctl *all;
        char **argv;
        VsctlDone done;
        void *userdata;
        Helper *helper;              /* NULL: it waits */
        sd_event_source *deadline;
        TAILQ_ENTRY(Call) link;
} Call;
TAILQ_HEAD(CallList, Call);

struct Vsctl {
        sd_event *event;
        struct CallList running, waiting;
        unsigned n_running, n_waiting;
        sd_event_source *kick;
};

static Call *call_free(Call *c) {
        if (!c)
                return NULL;
        helper_free(c->helper);
        sd_event_source_disable_unref(c->deadline);
        strv_free(c->argv);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Call *, call_free)

static Call *take(struct CallList *list, unsigned *n) {
        Call *c = TAILQ_FIRST(list);

        if (c) {
                TAILQ_REMOVE(list, c, link);
                (*n)--;
        }
        return c;
}

/* --- how one ends --- */

static void kick(Vsctl *v) {
        (void) sd_event_source_set_enabled(v->kick, SD_EVENT_ONESHOT);
}

/* It is in no list any more. */
static void tell(Call *c, const Fault *why) {
        VsctlDone done = c->done;
        void *userdata = c->userdata;

        kick(c->all);
        call_free(c);
        done(why, userdata);
}

static void end_running(Call *c, const Fault *why) {
        TAILQ_REMOVE(&c->all->running, c, link);
        c->all->n_running--;
        tell(c, why);
}

/* Who waits behind one that got no answer would get none. */
static void time_out(Call *c) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Vsctl *v = c->all;
        unsigned n = v->n_waiting;

        fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "Open vSwitch did not answer within %u s", TIMEOUT_SEC);
        fault_hint(&f, "\"systemctl status ovsdb-server ovs-vswitchd\" may say why");
        log_warning("%s", fault_text(&f));
        end_running(c, &f);
        for (; n > 0 && (c = take(&v->waiting, &v->n_waiting)); n--)
                tell(c, &f);
}

static int on_deadline(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        time_out(userdata);
        return 0;
}

/* EIO: something else, and who knows how far it came. */
static void fault_from_words(const char *words, Fault *f) {
        static const struct {
                const char *words;
                int error;
                const char *hint;
        } rows[] = {
                { PROGRAM " can't be started", ENOENT, "install Open vSwitch: the package openvswitch-switch" },
                { "no bridge named", ENODEV, "make it: ovs-vsctl add-br NAME; or leave <virtualport> out, if it is a bridge of the kernel" },
                { "Permission denied", EACCES, "the socket of ovsdb-server must be root's: virtnetworkd can't pass permissions by" },
                { "database connection failed", ENOTCONN, "start Open vSwitch: systemctl start openvswitch-switch" },
                { "", EIO, NULL },
        };
        size_t i = 0;

        while (!strstr(words, rows[i].words))
                i++;
        fault_set(f, FAULT_NETWORK, rows[i].error, "Open vSwitch can't do it: %s", words);
        if (rows[i].hint)
                fault_hint(f, "%s", rows[i].hint);
}

bool vsctl_did_nothing(const Fault *why) {
        return why->kind == FAULT_NETWORK && why->error != EIO;
}

static void on_ended(Helper *h, int si_code, int status, void *userdata) {
        _cleanup_free_ char *how = helper_describe(h, si_code, status);
        _cleanup_fault_ Fault f = FAULT_INIT;
        Call *c = userdata;

        /* What is in the database, but can't be done, is no failure of the program's. */
        if (si_code == CLD_EXITED && status == 0 && !strstr(helper_words(h), "Error detected")) {
                end_running(c, NULL);
                return;
        }
        if (si_code == CLD_KILLED && status == SIGALRM) {
                time_out(c);
                return;
        }
        /* systemd ends it with us. */
        if (si_code == CLD_KILLED && status == SIGTERM)
                fault_set(&f, FAULT_STOPPING, ESHUTDOWN, "ovs-vsctl was ended before it was done");
        else
                fault_from_words(*helper_words(h) ? helper_words(h) : how ?: "ovs-vsctl failed", &f);
        end_running(c, &f);
}

/* --- how one begins --- */

static int start(Call *c) {
        Vsctl *v = c->all;
        int r;

        r = sd_event_add_time_relative(v->event, &c->deadline, CLOCK_MONOTONIC, DEADLINE_USEC, 0, on_deadline, c);
        return r < 0 ? r : helper_start(v->event, c->argv, -1, -1, on_ended, c, &c->helper);
}

static int on_kick(_unused_ sd_event_source *source, void *userdata) {
        Vsctl *v = userdata;

        while (v->n_running < RUNNING_MAX && v->n_waiting > 0) {
                Call *c = take(&v->waiting, &v->n_waiting);
                int r = start(c);

                if (r < 0) {
                        _cleanup_fault_ Fault f = FAULT_INIT;

                        fault_set(&f, FAULT_HOST, -r, "ovs-vsctl can't be started: %s", strerror(-r));
                        tell(c, &f);
                        return 0; /* and comes here again */
                }
                TAILQ_INSERT_TAIL(&v->running, c, link);
                v->n_running++;
        }
        return 0;
}

static int make_argv(char *const *commands, bool wait, char ***ret) {
        const char *const options[] = { PROGRAM, "--verbose=off", TIMEOUT_OPTION, wait ? NULL : "--no-wait" };
        _cleanup_strv_ char **argv = NULL;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(options) && r >= 0; i++)
                if (options[i])
                        r = strv_push(&argv, options[i]);
        for (size_t i = 0; commands[i] && r >= 0; i++)
                r = strv_push(&argv, commands[i]);
        if (r >= 0)
                *ret = TAKE_PTR(argv);
        return r < 0 ? r : 0;
}

int vsctl_run(Vsctl *v, char **commands, bool wait, VsctlDone done, void *userdata, Fault *f) {
        _cleanup_strv_ char **owned = commands;
        _cleanup_(call_freep) Call *c = new0(Call, 1);

        assert(v && commands && done);

        if (v->n_waiting >= WAITING_MAX)
                return fault_set(f, FAULT_LIMIT, EBUSY, "%u requests wait for Open vSwitch already", v->n_waiting);
        if (!c || make_argv(owned, wait, &c->argv) < 0)
                return fault_oom(f);
        c->all = v;
        c->done = done;
        c->userdata = userdata;
        TAILQ_INSERT_TAIL(&v->waiting, c, link);
        c = NULL;
        v->n_waiting++;
        kick(v);
        return 0;
}

/* --- lifetime --- */

Vsctl *vsctl_free(Vsctl *v) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Call *c;

        if (!v)
                return NULL;
        fault_set(&f, FAULT_STOPPING, ESHUTDOWN, "nothing is told to Open vSwitch any more");
        while ((c = take(&v->running, &v->n_running)) || (c = take(&v->waiting, &v->n_waiting)))
                tell(c, &f);
        sd_event_source_disable_unref(v->kick);
        sd_event_unref(v->event);
        free(v);
        return NULL;
}

int vsctl_new(sd_event *event, Vsctl **ret) {
        _cleanup_(vsctl_freep) Vsctl *v = new0(Vsctl, 1);
        int r;

        assert(event && ret);

        if (!v)
                return -ENOMEM;
        v->event = sd_event_ref(event);
        TAILQ_INIT(&v->running);
        TAILQ_INIT(&v->waiting);
        r = sd_event_add_defer(event, &v->kick, on_kick, v);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}
