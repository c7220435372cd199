/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dnsmasq.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../plan/network.h"
#include "child.h"
#include "fd.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "process.h"
#include "str.h"
#include "unit.h"

#define PROGRAM "/usr/sbin/dnsmasq"
#define UNIT "virtdnsmasq"

/* What is to be done when what is under way has ended. */
typedef struct Next {
        const NetworkDef *def;    /* of an update; NULL: it is to be stopped */
        DnsmasqDone done;         /* NULL: nothing */
        void *userdata;
} Next;

struct Dnsmasq {
        DnsmasqOptions options;
        char *unit, *folder, *leases;
        Child *child;             /* just started */
        Process process;          /* … or found running */
        sd_event_source *watch, *defer;
        UnitCall *call;
        UnitGone *gone;           /* while it should run */
        bool stopping, restarting;
        Fault why;                /* to be told */
        DnsmasqDone done;
        void *userdata;
        Next next;
};

/* --- lifetime --- */

Dnsmasq *dnsmasq_free(Dnsmasq *d) {
        if (!d)
                return NULL;
        child_release(d->child);
        process_close(&d->process);
        sd_event_source_disable_unref(d->watch);
        sd_event_source_disable_unref(d->defer);
        unit_call_free(d->call);
        unit_gone_free(d->gone);
        fault_clear(&d->why);
        free(d->unit);
        free(d->folder);
        free(d->leases);
        free(d);
        return NULL;
}

int dnsmasq_new(const DnsmasqOptions *options, Dnsmasq **ret) {
        _cleanup_(dnsmasq_freep) Dnsmasq *d = new0(Dnsmasq, 1);
        _cleanup_free_ char *instance = NULL;
        int r;

        assert(options && ret);

        if (!d)
                return -ENOMEM;
        d->options = *options;
        d->process = PROCESS_INIT;
        r = unit_name_from_instance(UNIT, options->name, ".service", &d->unit);
        if (r < 0)
                return r;
        /* What systemd calls %i, so that the unit finds its folder. */
        instance = strndup(d->unit + strlen(UNIT "@"), strlen(d->unit) - strlen(UNIT "@" ".service"));
        if (!instance)
                return -ENOMEM;
        d->folder = strf("%s/network/%s", options->run_dir, instance);
        d->leases = options->bus ? strf("/var/lib/virtbus-dnsmasq/%s/leases", instance) : strf("%s/dnsmasq/%s.leases", options->state_dir, instance);
        if (!d->folder || !d->leases)
                return -ENOMEM;
        *ret = TAKE_PTR(d);
        return 0;
}

/* The process, of those we started ourselves; 0: none. */
static pid_t dnsmasq_pid(const Dnsmasq *d) {
        return d->child ? child_pid(d->child) : process_is_alive(&d->process) ? d->process.pid : 0;
}

const char *dnsmasq_leases(const Dnsmasq *d) {
        return d->leases;
}

static void go_on(Dnsmasq *d, const Next *next) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        int r;

        if (next->def)
                r = dnsmasq_update(d, next->def, next->done, next->userdata, &f);
        else
                r = dnsmasq_stop(d, next->done, next->userdata, &f);
        if (r < 0)
                next->done(&f, next->userdata);
}

static void finish(Dnsmasq *d, const Fault *why) {
        DnsmasqDone done = TAKE_PTR(d->done);
        const Next next = TAKE(d->next, (Next) {});

        if (done)
                done(why, d->userdata); /* may free it if nothing comes next */
        if (next.done)
                go_on(d, &next);
}

/* One that is just taken up from an earlier life of ours: whoever changes it waits for that. */
static int do_next(Dnsmasq *d, const NetworkDef *def, DnsmasqDone done, void *userdata, Fault *f) {
        if (d->next.done)
                return fault_set(f, FAULT_BUSY, EBUSY, "the dnsmasq of %s is being started or stopped", d->options.name);
        d->next = (Next) { def, done, userdata };
        return 0;
}

static int on_defer(sd_event_source *source, void *userdata) {
        Dnsmasq *d = userdata;

        d->defer = sd_event_source_disable_unref(d->defer);
        finish(d, NULL);
        return 0;
}

static int finish_later(Dnsmasq *d) {
        return sd_event_add_defer(d->options.event, &d->defer, on_defer, d);
}

/* --- files --- */

/* 1: it has another content now. The unit's user reads them. */
static int write_file(const Dnsmasq *d, const char *name, const char *text) {
        _cleanup_free_ char *path = strf("%s/%s", d->folder, name), *before = NULL;
        size_t length;
        int r;

        if (!path)
                return -ENOMEM;
        if (file_read(path, 64 * 1024 * 1024, &before, &length) >= 0 && length == strlen(text) && memcmp(before, text, length) == 0)
                return 0;
        r = file_write_atomic(path, text, strlen(text), 0644);
        return r < 0 ? r : 1;
}

static int make_folders(const Dnsmasq *d) {
        _cleanup_free_ char *above = strndup(d->leases, (size_t) (strrchr(d->leases, '/') - d->leases));
        _cleanup_free_ char *networks = strf("%s/network", d->options.run_dir);
        int r = networks ? mkdir_parents(d->folder, 0755) : -ENOMEM;

        /* Whatever the umask says: dnsmasq is another user. There are no secrets in there. */
        if (r >= 0 && (chmod(networks, 0755) < 0 || chmod(d->folder, 0755) < 0))
                r = -errno;
        if (r >= 0 && !d->options.bus)
                r = above ? mkdir_parents(above, 0700) : -ENOMEM;
        return r;
}

/* Bit 0: the configuration is another one; bit 1: hosts are. */
static int write_files(const Dnsmasq *d, const NetworkDef *def) {
        _cleanup_free_ char *dhcp_hosts = strf("%s/dhcp-hosts", d->folder), *dns_hosts = strf("%s/dns-hosts", d->folder);
        const DnsmasqPaths paths = { dhcp_hosts, dns_hosts, d->leases };
        DnsmasqFiles files = {};
        int r, config = 0, dhcp = 0, dns = 0;

        if (!dhcp_hosts || !dns_hosts)
                return -ENOMEM;
        r = make_folders(d);
        if (r >= 0)
                r = network_dnsmasq(def, &paths, &files);
        if (r >= 0)
                r = dhcp = write_file(d, "dhcp-hosts", files.dhcp_hosts);
        if (r >= 0)
                r = dns = write_file(d, "dns-hosts", files.dns_hosts);
        if (r >= 0)
                r = config = write_file(d, "dnsmasq.conf", files.config);
        dnsmasq_files_clear(&files);
        return r < 0 ? r : (config > 0) | (dhcp > 0 || dns > 0) << 1;
}

void dnsmasq_remove_files(const Dnsmasq *d) {
        static const char *const names[] = { "dnsmasq.conf", "dhcp-hosts", "dns-hosts", "pid" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = strf("%s/%s", d->folder, names[i]);

                if (path)
                        (void) unlink(path);
        }
        (void) rmdir(d->folder);
}

/* --- as a unit --- */

/* systemd starts it again when it fails; now it has given up, or somebody has stopped it. */
static void on_unit_gone(void *userdata) {
        Dnsmasq *d = userdata;
        _cleanup_free_ char *how = strf("has ended, see systemctl status %s", d->unit);

        d->gone = unit_gone_free(d->gone);
        d->options.ended(how ?: "has ended", d->options.userdata);
}

static void on_unit(const Fault *why, void *userdata) {
        Dnsmasq *d = userdata;
        int r;

        d->call = unit_call_free(d->call);
        if (d->stopping) {
                unit_reset_failed(d->options.bus, d->unit); /* one that is stopped as it starts may call that a failure */
                dnsmasq_remove_files(d);
        } else if (!why) {
                r = unit_gone_watch(d->options.bus, d->unit, on_unit_gone, d, &d->gone);
                if (r < 0)
                        (void) log_warning_errno(r, "%s can't be watched: %m", d->unit);
        }
        finish(d, why);
}

/* --- as a process of ours --- */

static char *pid_path(const Dnsmasq *d) {
        return strf("%s/pid", d->folder);
}

/* "PID START": so that the next virtnetworkd finds it. */
static void note_pid(const Dnsmasq *d, pid_t pid) {
        _cleanup_free_ char *path = pid_path(d), *text = NULL;
        Process p = PROCESS_INIT;

        if (path && process_open(pid, 0, &p) >= 0)
                text = strf("%d %llu", pid, (unsigned long long) p.start_time);
        if (text)
                (void) file_write_atomic(path, text, strlen(text), 0600);
        process_close(&p);
}

static int start_child(Dnsmasq *d, Fault *f);

static void ended(Dnsmasq *d, const char *how) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (d->restarting) {
                d->restarting = false;
                if (start_child(d, &f) < 0)
                        finish(d, &f);
        } else if (d->stopping) {
                dnsmasq_remove_files(d);
                finish(d, NULL);
        } else
                d->options.ended(how, d->options.userdata);
}

static void on_child_ended(Child *c, int status, void *userdata) {
        Dnsmasq *d = userdata;
        _cleanup_free_ char *how = child_end_text(c, status);

        d->child = child_free(d->child);
        ended(d, how ?: "ended");
}

static int on_process_ended(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Dnsmasq *d = userdata;

        d->watch = sd_event_source_disable_unref(d->watch);
        process_close(&d->process);
        ended(d, "ended");
        return 0;
}

static void find_process(Dnsmasq *d) {
        _cleanup_free_ char *path = pid_path(d), *text = NULL;
        unsigned long long start;
        size_t length;
        int pid;

        if (d->process.pid > 0 || d->child || !path || file_read(path, 64, &text, &length) < 0 || sscanf(text, "%d %llu", &pid, &start) != 2)
                return;
        if (process_open(pid, start, &d->process) >= 0 &&
            sd_event_add_io(d->options.event, &d->watch, d->process.pidfd, EPOLLIN, on_process_ended, d) < 0)
                process_close(&d->process);
}

static void on_child_started(Child *c, const Fault *why, void *userdata) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Dnsmasq *d = userdata;

        if (why) {
                (void) fault_copy(&f, why);
                d->child = child_free(d->child);
        }
        finish(d, why ? &f : NULL);
}

static int start_child(Dnsmasq *d, Fault *f) {
        _cleanup_free_ char *config = strf("--conf-file=%s/dnsmasq.conf", d->folder);
        char *argv[] = { (char *) PROGRAM, (char *) "--keep-in-foreground", (char *) "--pid-file=", (char *) "--user=", config, NULL };
        const ChildSpec spec = { .argv = argv, .detach = true, .started = on_child_started };
        int r;

        if (!config)
                return fault_oom(f);
        r = child_new(d->options.event, &spec, on_child_ended, d, &d->child, f);
        if (r < 0)
                return r;
        note_pid(d, child_pid(d->child));
        return 0;
}

static int signal_it(const Dnsmasq *d, int sig) {
        if (d->child)
                return kill(child_pid(d->child), sig) < 0 ? -errno : 0;
        return process_signal(&d->process, sig);
}

/* --- both --- */

static int begin(Dnsmasq *d, bool stopping, DnsmasqDone done, void *userdata, Fault *f) {
        if (d->done)
                return fault_set(f, FAULT_BUSY, EBUSY, "the dnsmasq of %s is being started or stopped", d->options.name);
        d->gone = unit_gone_free(d->gone);
        d->stopping = stopping;
        d->done = done;
        d->userdata = userdata;
        return 0;
}

int dnsmasq_start(Dnsmasq *d, const NetworkDef *def, DnsmasqDone done, void *userdata, Fault *f) {
        int r, changed;

        assert(d && def && done);

        r = begin(d, false, done, userdata, f);
        if (r < 0)
                return r;
        r = changed = write_files(d, def);
        if (r < 0)
                fault_set(f, FAULT_STORE, -r, "the files of dnsmasq can't be written in %s: %s", d->folder, strerror(-r));
        else if (d->options.bus)
                r = unit_start(d->options.bus, d->unit, "replace", on_unit, d, &d->call);
        else {
                find_process(d);
                if (dnsmasq_pid(d) == 0)
                        r = start_child(d, f);
                else {
                        r = changed & 2 ? signal_it(d, SIGHUP) : 0;
                        if (r >= 0)
                                r = finish_later(d);
                }
        }
        if (r < 0)
                d->done = NULL;
        return r;
}

int dnsmasq_stop(Dnsmasq *d, DnsmasqDone done, void *userdata, Fault *f) {
        int r;

        assert(d && done);

        if (d->done)
                return do_next(d, NULL, done, userdata, f);
        r = begin(d, true, done, userdata, f);
        if (r < 0)
                return r;
        if (d->options.bus)
                r = unit_stop(d->options.bus, d->unit, "replace", on_unit, d, &d->call);
        else {
                find_process(d);
                if (dnsmasq_pid(d) > 0)
                        r = signal_it(d, SIGTERM);
                else {
                        dnsmasq_remove_files(d);
                        r = finish_later(d);
                }
        }
        if (r < 0)
                d->done = NULL;
        return r;
}

/* `changed` as write_files() says. */
static int tell_process(Dnsmasq *d, int changed, Fault *f) {
        int r;

        find_process(d);
        if (dnsmasq_pid(d) == 0)
                return start_child(d, f);
        d->restarting = changed & 1;
        r = changed ? signal_it(d, changed & 1 ? SIGTERM : SIGHUP) : 0;
        return r < 0 || d->restarting ? r : finish_later(d);
}

int dnsmasq_update(Dnsmasq *d, const NetworkDef *def, DnsmasqDone done, void *userdata, Fault *f) {
        int r, changed;

        assert(d && def && done);

        if (d->done)
                return do_next(d, def, done, userdata, f);
        r = begin(d, false, done, userdata, f);
        if (r < 0)
                return r;
        r = changed = write_files(d, def);
        if (r < 0)
                fault_set(f, FAULT_STORE, -r, "the files of dnsmasq can't be written in %s: %s", d->folder, strerror(-r));
        else if (!d->options.bus)
                r = tell_process(d, changed, f);
        else
                r = (changed & 1 ? unit_restart : changed ? unit_reload : unit_start)(d->options.bus, d->unit, "replace", on_unit, d, &d->call);
        if (r < 0)
                d->done = NULL;
        return r;
}
