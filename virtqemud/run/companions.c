/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "companions.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../device/device.h"
#include "child.h"
#include "fd.h"
#include "file.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "process.h"
#include "program.h"
#include "str.h"
#include "unit.h"
#include "xml-read.h"

#define ENDING_USEC (1000u * 1000)
#define GREETING_USEC (30u * 1000 * 1000)
/* Of a unit with a user of its own, which systemd makes and gives to it; it can't be below our own folder, which is closed. */
#define STATE_DIRECTORY "virtbus-companions"
#define STATE_FOLDERS { "/var/lib/private/" STATE_DIRECTORY, "/var/lib/" STATE_DIRECTORY }

typedef struct OneCompanion {
        Companions *all;
        char *device;            /* "net0" */
        const char *element;     /* "interface" */
        Companion what;
        int socket, secret;      /* the latter is the secrets'; negative: none */
        int qemu;                /* QEMU's end, until it was greeted */
        Prepare *prepare;        /* likewise, of a program that lends something */
        sd_event_source *greeting, *patience;
        char *state;             /* its folder */
        char *unit;
        UnitCall *call;
        UnitGone *gone;
        Child *child;            /* ours; NULL: a unit, or another daemon's before us */
        Process process;         /* also where it was another daemon's before us */
        sd_event_source *watch;
        sd_event_source *ended;
} OneCompanion;

struct Companions {
        Companions *next;        /* of devices that were plugged in later */
        Domain *domain;
        OneCompanion *items;
        size_t n, n_running;
        CompanionsDone done;     /* NULL once it was called */
        void *userdata;
};

Companions *companions_free(Companions *all) {
        if (!all)
                return NULL;
        for (size_t i = 0; i < all->n; i++) {
                OneCompanion *c = &all->items[i];

                unit_call_free(c->call);
                unit_gone_free(c->gone);
                child_release(c->child);
                sd_event_source_disable_unref(c->watch);
                process_close(&c->process);
                sd_event_source_disable_unref(c->ended);
                sd_event_source_disable_unref(c->greeting);
                sd_event_source_disable_unref(c->patience);
                fd_close(c->socket);
                fd_close(c->qemu);
                companion_clear(&c->what);
                free(c->device);
                free(c->state);
                free(c->unit);
        }
        companions_free(all->next);
        free(all->items);
        free(all);
        return NULL;
}

static int on_stop_asked(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return 0; /* one that has ended meanwhile is no unit any more */
}

Companions *companions_abandon(Companions *all) {
        for (Companions *one = all; one; one = one->next)
                for (size_t i = 0; i < one->n; i++) {
                        OneCompanion *c = &one->items[i];

                        if (!c->what.by_activation)
                                continue;
                        c->child = child_free(c->child);
                        if (c->process.pid > 0)
                                (void) process_signal(&c->process, SIGKILL);
                        if (c->unit)
                                (void) unit_stop_unasked(one->domain->manager->bus, c->unit, on_stop_asked);
                }
        return companions_free(all);
}

static void finish(Companions *all, const Fault *f) {
        CompanionsDone done = TAKE_PTR(all->done);

        if (done)
                done(f, all->userdata);
}

/* --- once it runs --- */

static int on_grace_over(sd_event_source *source, uint64_t usec, void *userdata) {
        OneCompanion *c = userdata;

        (void) domain_warn(c->all->domain, "%s %s %s: %s has ended, its log tells why (%s)", c->element, c->device, c->what.lost, c->what.name,
                           c->unit ?: "in the log of virtqemud");
        return 0;
}

/* When QEMU ends so does its companion, and we may hear of it first: all this is freed within that time. */
static void ended(OneCompanion *c) {
        (void) sd_event_add_time_relative(c->all->domain->manager->event, &c->ended, CLOCK_MONOTONIC, ENDING_USEC, 0, on_grace_over, c);
}

static void on_unit_gone(void *userdata) {
        OneCompanion *c = userdata;

        c->gone = unit_gone_free(c->gone);
        ended(c);
}

static void on_child_ended(Child *child, int status, void *userdata) {
        OneCompanion *c = userdata;

        c->child = child_free(c->child);
        process_close(&c->process);
        ended(c);
}

static void one_is_ready(OneCompanion *c) {
        if (++c->all->n_running == c->all->n)
                finish(c->all, NULL);
}

static void on_files_allowed(const Fault *why, void *userdata) {
        OneCompanion *c = userdata;

        c->call = unit_call_free(c->call);
        if (why)
                finish(c->all, why);
        else
                one_is_ready(c);
}

/* The class is known to the kernel only now. */
static void allow_files(OneCompanion *c) {
        const Domain *d = c->all->domain;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (!c->what.files || !d->manager->by_unit || d->manager->user) {
                one_is_ready(c);
                return;
        }
        r = unit_allow_devices(d->manager->bus, d->unit, c->what.files, on_files_allowed, c, &c->call);
        if (r >= 0)
                return;
        fault_set(&f, FAULT_UNIT, -r, "%s can't be given device files: %s", d->unit, strerror(-r));
        finish(c->all, &f);
}

static void forget(OneCompanion *c) {
        c->gone = unit_gone_free(c->gone);
        c->child = child_release(c->child);
        c->watch = sd_event_source_disable_unref(c->watch);
        process_close(&c->process);
        c->ended = sd_event_source_disable_unref(c->ended);
}

static void greeted(OneCompanion *c, const Fault *why) {
        c->greeting = sd_event_source_disable_unref(c->greeting);
        c->patience = sd_event_source_disable_unref(c->patience);
        c->qemu = fd_close(c->qemu);
        if (why)
                finish(c->all, why);
        else
                allow_files(c);
}

static void not_greeted(OneCompanion *c, FaultKind kind, int error, const char *what) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, kind, error, "%s %s: %s %s", c->element, c->device, c->what.name, what);
        if (c->unit)
                fault_hint(&f, "journalctl -u %s tells why", c->unit);
        else
                fault_hint(&f, "the log of virtqemud tells why");
        greeted(c, &f);
}

static void explained(OneCompanion *c, const char *text) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (text[0] == '\n') {
                greeted(c, NULL);
                return;
        }
        fault_set(&f, c->what.explains, EOPNOTSUPP, "%s %s: %s", c->element, c->device, text);
        greeted(c, &f);
}

/* Its work is done: its end is no news. */
static ssize_t take_loan(OneCompanion *c, int fd, char *text, size_t size) {
        int lent = -1;
        size_t n_lent = 1;
        ssize_t n = fd_receive(fd, text, size, &lent, &n_lent);

        if (n_lent == 1) {
                prepare_replace_companion(c->prepare, c->device, lent);
                forget(c);
        }
        if (n < 0)
                errno = (int) -n;
        return n;
}

/* What it says is for QEMU, unless it explains itself. */
static int on_greeting(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        OneCompanion *c = userdata;
        char text[512];
        ssize_t n = c->what.lends ? take_loan(c, fd, text, sizeof(text) - 1)
                                  : recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT | (c->what.explains ? 0 : MSG_PEEK));

        text[MAX(n, 0)] = '\0';
        if (n > 0 && c->what.explains)
                explained(c, text);
        else if (n > 0)
                greeted(c, NULL);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                not_greeted(c, FAULT_UNIT, ECONNRESET, "has ended instead of starting");
        return 0;
}

static int on_no_greeting(sd_event_source *source, uint64_t usec, void *userdata) {
        not_greeted(userdata, FAULT_TIMEOUT, ETIMEDOUT, "was not ready within 30 s");
        return 0;
}

static void one_runs(OneCompanion *c) {
        sd_event *event = c->all->domain->manager->event;
        int r;

        c->socket = fd_close(c->socket); /* QEMU's end of the connection is now QEMU's end of the program */
        if (c->qemu < 0) {
                one_is_ready(c);
                return;
        }
        r = sd_event_add_io(event, &c->greeting, c->qemu, EPOLLIN, on_greeting, c);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &c->patience, CLOCK_MONOTONIC, GREETING_USEC, 0, on_no_greeting, c);
        if (r < 0)
                not_greeted(c, FAULT_UNIT, -r, "can't be watched");
}

/* --- starting --- */

/* One that has ended in no time is a failed unit before we come to what it said. */
static bool has_explained(OneCompanion *c) {
        char text[512];
        ssize_t n = c->what.explains && c->qemu >= 0 ? recv(c->qemu, text, sizeof(text) - 1, MSG_DONTWAIT) : 0;

        if (n <= 0 || text[0] == '\n')
                return false;
        text[n] = '\0';
        explained(c, text);
        return true;
}

static void on_unit_started(const Fault *why, void *userdata) {
        OneCompanion *c = userdata;
        Companions *all = c->all;
        int r;

        c->call = unit_call_free(c->call);
        if (why) {
                if (!has_explained(c))
                        finish(all, why);
                return;
        }
        r = unit_gone_watch(all->domain->manager->bus, c->unit, on_unit_gone, c, &c->gone);
        if (r < 0)
                (void) log_domain_warning_errno(all->domain, r, "can't watch %s: %m", c->unit);
        one_runs(c);
}

/* Whether it asked for its folder. */
static bool has_state(const OneCompanion *c) {
        for (char **a = c->what.argv; a && *a; a++)
                if (strstr(*a, c->state))
                        return true;
        return false;
}

/* Others look through it, but not into the folder that it is in. */
static int make_root(const OneCompanion *c, char **ret) {
        _cleanup_free_ char *path = instance_root(c->all->domain->instance, c->device);
        int r = path ? mkdir_parents(path, 0700) : -ENOMEM;

        if (r < 0)
                return r;
        if (chmod(path, 0755) < 0)
                return -errno;
        *ret = TAKE_PTR(path);
        return 0;
}

static int start_unit(OneCompanion *c) {
        const Domain *d = c->all->domain;
        _cleanup_free_ char *root = NULL;
        _cleanup_free_ char *description = strf("%s %s of Virtual Machine %s", c->what.title, c->device, d->name), *state = NULL;
        sd_id128_t chance;
        int r;

        /* What is left of the last run may not have ended yet, so the name is new each time. */
        r = sd_id128_randomize(&chance);
        if (r < 0)
                return r;
        c->unit = strf("virtqemu-%s-%s-%s-%08x.service", c->what.name, d->uuid_string, c->device, (unsigned) chance.qwords[0]);
        state = strf(STATE_DIRECTORY "/%s/%s", d->uuid_string, c->device);
        if (!c->unit || !description || !state)
                return -ENOMEM;
        r = c->what.sees ? make_root(c, &root) : 0;
        if (r < 0)
                return r;

        const UnitTransient spec = {
                .unit = c->unit, .description = description, .part_of = d->unit, .argv = c->what.argv, .input = c->socket,
                .output = c->secret > 0 ? c->secret : 0, .state = has_state(c) ? state : NULL, .user = d->manager->user,
                .privileges = c->what.privileges, .any_file = c->what.any_file, .confined = c->what.confined,
                .no_network = !c->what.has_network, .sees = c->what.sees, .root = root,
        };
        return unit_start_transient(d->manager->bus, &spec, on_unit_started, c, &c->call);
}

static void on_child_started(Child *child, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        OneCompanion *c = userdata;

        if (!why) {
                one_runs(c);
                return;
        }
        (void) fault_copy(&f, why);
        c->child = child_free(child);
        process_close(&c->process);
        finish(c->all, &f);
}

static int start_child(OneCompanion *c, Fault *f) {
        const Manager *m = c->all->domain->manager;
        const ChildFd fds[] = { { c->socket, STDIN_FILENO }, { c->secret, STDOUT_FILENO } };
        const ChildSpec spec = { .argv = c->what.argv, .fds = fds, .n_fds = c->secret >= 0 ? 2 : 1, .detach = true,
                                 .started = on_child_started };
        int r = has_state(c) ? mkdir_parents(c->state, 0700) : 0;

        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "can't make %s: %s", c->state, strerror(-r));
        r = child_new(m->event, &spec, on_child_ended, c, &c->child, f);
        if (r < 0)
                return r;
        (void) process_open(child_pid(c->child), 0, &c->process); /* else it has ended, which we will hear of */
        return 0;
}

/* Where the folder of that device's program is, as the program sees it. */
static char *state_folder(const Domain *d, const char *device) {
        if (d->manager->by_unit && !d->manager->user)
                return strf("/var/lib/" STATE_DIRECTORY "/%s/%s", d->uuid_string, device);
        return strf("%s/companions/%s/%s", d->manager->dirs.state, d->uuid_string, device);
}

/* The socket is made what sd_listen_fds() finds: descriptor 3, for the process of that number. */
static int wrap_activation(OneCompanion *c) {
        static const char *const before[] = { "/bin/sh", "-c", "exec env LISTEN_FDS=1 LISTEN_PID=$$ \"$@\" 3<&0 </dev/null", "sh" };
        _cleanup_strv_ char **argv = NULL;
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(before) && r >= 0; i++)
                r = strv_push(&argv, before[i]);
        for (char **a = c->what.argv; *a && r >= 0; a++)
                r = strv_push(&argv, *a);
        if (r < 0)
                return r;
        strv_free(c->what.argv);
        c->what.argv = TAKE_PTR(argv);
        return 0;
}

/* Ours are named without a folder. */
static int complete_argv(OneCompanion *c) {
        const Process *p = &c->all->domain->instance->supervisor;
        uid_t user = geteuid();
        gid_t group = getegid();
        int r = c->what.needs_user && p->pid > 0 ? process_user(p, &user, &group) : 0;

        if (r >= 0 && c->what.needs_user)
                r = c->what.lends ? strv_pushf(&c->what.argv, "%u:%u", user, group) : strv_pushf(&c->what.argv, "%u", user);
        if (r >= 0 && !strchr(c->what.argv[0], '/')) {
                char *path = program_beside(c->what.argv[0]);

                free_and_replace(&c->what.argv[0], path);
                r = path ? 0 : -ENOMEM;
        }
        return r;
}

static int check_program(const Device *d, const char *program, const char *package, Fault *f) {
        if (!program || access(program, X_OK) >= 0)
                return 0;
        xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "it needs %s, which is not there", program);
        fault_hint(f, "install the package %s", package);
        return -ENOENT;
}

static int start_one(OneCompanion *c, const DomainDef *live, Fault *f) {
        const Device *d = companion_device(live, c->device, NULL);
        int r;

        c->state = state_folder(c->all->domain, c->device);
        if (!c->state || !d)
                return fault_oom(f);
        c->element = d->ops->element;
        r = companion_make(live, c->device, c->state, &c->what);
        if (r >= 0)
                r = complete_argv(c);
        if (r < 0)
                return fault_set(f, FAULT_UNIT, -r, "%s for %s can't be started: %s", c->what.name, c->device, strerror(-r));
        r = check_program(d, c->what.argv[0], c->what.package, f);
        if (r >= 0)
                r = check_program(d, c->what.helper, c->what.helper_package, f);
        if (r < 0)
                return r;
        if (c->what.moved && !(c->all->domain->manager->by_unit && !c->all->domain->manager->user))
                return xml_fault(&d->head, f, FAULT_NOT_SUPPORTED, "%s takes a unit of the host for it, to which its files are shown", c->what.name);
        if (c->what.by_activation && wrap_activation(c) < 0)
                return fault_oom(f);
        r = c->all->domain->manager->by_unit ? start_unit(c) : start_child(c, f);
        if (r < 0 && !(f && fault_is_set(f)))
                return fault_set(f, FAULT_UNIT, -r, "%s for %s can't be started: %s", c->what.name, c->device, strerror(-r));
        return r;
}

int companions_new(Domain *d, const DomainDef *live, Prepare *p, const DomainSecrets *secrets, CompanionsDone done, void *userdata,
                   Companions **ret, Fault *f) {
        _cleanup_(companions_abandonp) Companions *all = NULL;
        size_t n = prepare_count_companions(p);
        int r = 0;

        assert(d && live && p && done && ret);

        if (n == 0)
                return 1;
        all = new0(Companions, 1);
        if (!all)
                return fault_oom(f);
        *all = (Companions) { .domain = d, .items = new0(OneCompanion, n), .done = done, .userdata = userdata };
        if (!all->items)
                return fault_oom(f);
        for (size_t i = 0; i < n && r >= 0; i++) {
                OneCompanion *c = &all->items[all->n++];

                *c = (OneCompanion) { .all = all, .process = PROCESS_INIT, .prepare = p };
                c->socket = prepare_take_companion(p, i, &c->device, &c->qemu);
                c->secret = c->device ? domain_secrets_fd(secrets, c->device, true) : -1;
                r = c->device ? start_one(c, live, f) : fault_oom(f);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(all);
        return 0;
}

void companions_forget(Companions *all, const char *device) {
        assert(device);

        for (; all; all = all->next)
                for (size_t i = 0; i < all->n; i++)
                        if (all->items[i].device && companion_is_of(all->items[i].device, device, NULL))
                                forget(&all->items[i]);
}

Companions *companions_join(Companions *all, Companions *more) {
        Companions **end = &all;

        for (; *end; end = &(*end)->next)
                ;
        *end = more;
        return all;
}

/* --- after a restart --- */

json_t *companions_to_json(const Companions *all) {
        json_t *list = json_array();

        for (; list && all; all = all->next)
                for (size_t i = 0; i < all->n; i++) {
                        const OneCompanion *c = &all->items[i];
                        json_t *one = NULL;

                        if (c->gone)
                                one = json_pack("{s:s, s:s}", "device", c->device, "unit", c->unit);
                        else if (c->process.pid > 0)
                                one = json_pack("{s:s, s:i, s:I}", "device", c->device, "pid", (int) c->process.pid,
                                                "start", (json_int_t) c->process.start_time);
                        if (one)
                                (void) json_array_append_new(list, one);
                }
        return list;
}

static int on_process_ended(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        OneCompanion *c = userdata;

        c->watch = sd_event_source_disable_unref(c->watch);
        process_close(&c->process);
        ended(c);
        return 0;
}

static int watch_again(OneCompanion *c, pid_t pid, uint64_t start_time) {
        const Manager *m = c->all->domain->manager;
        int r;

        if (c->unit)
                return m->bus ? unit_gone_watch(m->bus, c->unit, on_unit_gone, c, &c->gone) : -ENOTCONN;
        r = process_open(pid, start_time, &c->process);
        if (r == -ESRCH) { /* while nobody watched */
                ended(c);
                return 0;
        }
        return r < 0 ? r : sd_event_add_io(m->event, &c->watch, c->process.pidfd, EPOLLIN, on_process_ended, c);
}

static int adopt_one(OneCompanion *c, json_t *one) {
        const char *id = json_string_value(json_object_get(one, "device")), *unit = json_string_value(json_object_get(one, "unit"));
        const Device *d = id ? companion_device(c->all->domain->live, id, NULL) : NULL;
        int r;

        if (!d || !d->ops->companion)
                return 0;
        c->element = d->ops->element;
        c->device = strdup(id);
        c->unit = unit ? strdup(unit) : NULL;
        c->state = state_folder(c->all->domain, id);
        r = !c->device || !c->state || !c->unit != !unit ? -ENOMEM : companion_make(c->all->domain->live, id, c->state, &c->what);
        return r < 0 ? r : watch_again(c, (pid_t) json_integer_value(json_object_get(one, "pid")),
                                       (uint64_t) json_integer_value(json_object_get(one, "start")));
}

Companions *companions_adopt(Domain *d, json_t *list) {
        _cleanup_(companions_freep) Companions *all = new0(Companions, 1);
        json_t *one;
        size_t i;

        assert(d);

        if (!all || json_array_size(list) == 0)
                return NULL;
        *all = (Companions) { .domain = d, .items = new0(OneCompanion, json_array_size(list)) };
        if (!all->items)
                return NULL;
        json_array_foreach(list, i, one) {
                OneCompanion *c = &all->items[all->n++];
                int r;

                *c = (OneCompanion) { .all = all, .socket = -1, .qemu = -1, .secret = -1, .process = PROCESS_INIT };
                r = adopt_one(c, one);
                if (r < 0)
                        (void) log_domain_warning_errno(d, r, "the program beside QEMU for %s can't be watched: %m", c->device ?: "?");
        }
        return TAKE_PTR(all);
}

void companions_end(const Domain *d, const json_t *list) {
        json_t *one;
        size_t i;

        assert(d);

        json_array_foreach(list, i, one) {
                const char *unit = json_string_value(json_object_get(one, "unit"));
                _cleanup_(process_close) Process p = PROCESS_INIT;

                if (unit && d->manager->bus)
                        (void) unit_stop_unasked(d->manager->bus, unit, on_stop_asked);
                if (!unit && process_open((pid_t) json_integer_value(json_object_get(one, "pid")),
                                          (uint64_t) json_integer_value(json_object_get(one, "start")), &p) >= 0)
                        (void) process_signal(&p, SIGKILL);
        }
}

void companions_remove_state(const Domain *d) {
        const char *const folders[] = STATE_FOLDERS;
        bool by_system = d->manager->by_unit && !d->manager->user;

        for (size_t i = 0; i < (by_system ? ARRAY_SIZE(folders) : 1); i++) {
                _cleanup_free_ char *path = by_system ? strf("%s/%s", folders[i], d->uuid_string)
                                                      : strf("%s/companions/%s", d->manager->dirs.state, d->uuid_string);
                int r = path ? tree_remove(path) : -ENOMEM;

                if (r < 0)
                        (void) log_domain_warning_errno(d, r, "can't remove %s: %m", path);
        }
}
