/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launcher.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "fd.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "str.h"
#include "unit.h"

struct Launcher {
        Domain *domain;
        UnitCall *call;      /* StartUnit or StopUnit under way */
        bool over;           /* StartUnit is not */
        Child *child;
        LauncherFailed failed;
        void (*stopped)(void *userdata);
        void *userdata;
};

Launcher *launcher_free(Launcher *l) {
        if (!l)
                return NULL;
        unit_call_free(l->call);
        child_release(l->child);
        free(l);
        return NULL;
}

static void on_unit_started(const Fault *why, void *userdata) {
        Launcher *l = userdata;

        l->over = true;
        if (why)
                l->failed(why, l->userdata);
}

static void on_unit_stopped(const Fault *why, void *userdata) {
        Launcher *l = userdata;

        if (why)
                log_domain_warning(l->domain, "%s", fault_text(why));
        l->stopped(l->userdata);
}

int launcher_stop(Launcher *l, void (*stopped)(void *userdata)) {
        int r;

        assert(stopped);

        if (!l || !l->call || l->over)
                return 1;
        l->call = unit_call_free(l->call);
        l->stopped = stopped;
        r = unit_stop(l->domain->manager->bus, l->domain->instance->unit, "replace", on_unit_stopped, l, &l->call);
        if (r < 0)
                (void) log_domain_warning_errno(l->domain, r, "systemd can't be told that the start was given up: %m");
        return r < 0 ? 1 : 0;
}

/* By then it has its plan and the instance watches it, or it has none and that is a failure. */
static void on_child_ended(Child *c, int status, void *userdata) {
        Launcher *l = userdata;
        _cleanup_free_ char *how = child_end_text(c, status);
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_UNIT, ECHILD, "the supervisor of %s %s before it got its plan", l->domain->name, how ?: "ended");
        l->failed(&f, l->userdata);
}

/* What the supervisor, and QEMU below it, find in their environment: nothing of ours that is not needed. */
static char **supervisor_environment(void) {
        static const char *const kept[] = { "PATH=", "HOME=", "XDG_RUNTIME_DIR=", "VIRTBUS_", "ASAN_OPTIONS=", "UBSAN_OPTIONS=" };
        _cleanup_strv_ char **v = NULL;

        for (char **e = environ; *e; e++)
                for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
                        if (str_after(*e, kept[i]) && strv_push(&v, *e) < 0)
                                return NULL;
        return strv_push(&v, "LANG=C.UTF-8") < 0 ? NULL : TAKE_PTR(v);
}

static int launch_child(Launcher *l, Fault *f) {
        const Manager *m = l->domain->manager;
        _cleanup_free_ char *socket = strf("--socket=%s", m->peer_socket);
        char *argv[] = { m->supervisor, socket, (char *) "--", l->domain->name, NULL };
        _cleanup_strv_ char **environment = supervisor_environment();
        _cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        const ChildFd fds[] = { { null, STDIN_FILENO } };
        const ChildSpec spec = {
                .argv = argv, .environment = environment, .fds = fds, .n_fds = ARRAY_SIZE(fds), .detach = true,
                .uid = m->launch_uid, .gid = m->launch_gid, .empty_network = manager_confines(m),
        };
        int r;

        if (!socket || !environment)
                return fault_oom(f);
        if (null < 0)
                return fault_set(f, FAULT_UNIT, errno, "can't open /dev/null: %m");
        r = child_new(m->event, &spec, on_child_ended, l, &l->child, f);
        if (r < 0)
                return r;
        /* Only this process will get the plan. */
        return instance_set_supervisor(l->domain->instance, child_pid(l->child), 0, f);
}

int launcher_new(Domain *d, LauncherFailed failed, void *userdata, Launcher **ret, Fault *f) {
        _cleanup_(launcher_freep) Launcher *l = NULL;
        int r;

        assert(d && d->instance && failed && ret);

        l = new0(Launcher, 1);
        if (!l)
                return fault_oom(f);
        *l = (Launcher) { .domain = d, .failed = failed, .userdata = userdata };
        if (d->manager->by_unit)
                r = unit_start(d->manager->bus, d->instance->unit, "replace", on_unit_started, l, &l->call);
        else
                r = launch_child(l, f);
        if (r < 0)
                return fault_set(f, FAULT_UNIT, -r, "the supervisor of %s can't be started: %s", d->name, strerror(-r));
        *ret = TAKE_PTR(l);
        return 0;
}
