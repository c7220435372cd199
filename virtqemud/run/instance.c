/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../device/chardev.h"
#include "../device/device.h"
#include "clock-keep.h"
#include "domain-addresses.h"
#include "displays.h"
#include "fd.h"
#include "file.h"
#include "guest-agent.h"
#include "io-retry.h"
#include "unit-limits.h"
#include "manager.h"
#include "mem.h"
#include "operation.h"
#include "monitor.h"
#include "plug-journal.h"
#include "screenshot.h"
#include "sdbus.h"
#include "socket.h"
#include "start.h"
#include "stats.h"
#include "stop.h"
#include "str.h"
#include "unplug.h"
#include "usb-return.h"
#include "companions.h"
#include "unit.h"

#define RECONNECT_USEC (200u * 1000)
#define KILL_GRACE_USEC (1000u * 1000)

int instance_new(Domain *d, Instance **ret, Fault *f) {
        _cleanup_(instance_freep) Instance *i = NULL;
        int r;

        assert(d && !d->instance);

        i = new0(Instance, 1);
        if (!i)
                return fault_oom(f);
        i->supervisor = i->qemu = PROCESS_INIT;
        i->domain = d;
        i->folder = strf("%s/qemu/%s", d->manager->dirs.run, d->uuid_string);
        if (!i->folder)
                return fault_oom(f);
        r = mkdir_parents(i->folder, 0700);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "can't make %s: %s", i->folder, strerror(-r));

        d->instance = i;
        d->manager->busy++;
        if (ret)
                *ret = i;
        i = NULL;
        return 0;
}

Instance *instance_free(Instance *i) {
        if (!i)
                return NULL;
        if (i->domain && i->domain->instance == i) {
                i->domain->instance = NULL;
                if (i->domain->manager)
                        i->domain->manager->busy--;
        }
        domain_stats_free(i->stats);
        screenshots_abandon(i);
        qmp_free(i->qmp);
        sd_event_source_disable_unref(i->supervisor_source);
        sd_event_source_disable_unref(i->qemu_source);
        sd_event_source_disable_unref(i->reconnect);
        sd_event_source_disable_unref(i->kill_grace);
        displays_free(i->displays);
        for (size_t k = 0; k < i->n_consoles; k++) {
                console_free(i->consoles[k].console);
                free(i->consoles[k].id);
        }
        free(i->consoles);
        while (i->unplugs)
                unplug_free(i->unplugs);
        (void) plug_take_up_free(i->take_up);
        json_decref(i->journal);
        companions_free(i->companions);
        domain_addresses_free(i->addresses);
        i->agent = guest_agent_free(i->agent);
        io_retry_free(i->io_retry);
        usb_return_free(i->usb_return);
        process_close(&i->supervisor);
        process_close(&i->qemu);
        free(i->folder);
        free(i->unit);
        free(i->machine_name);
        free(i);
        return NULL;
}

char *instance_socket(const Instance *i, const char *name) {
        return strf("%s/%s.sock", i->folder, name);
}

char *instance_root(const Instance *i, const char *name) {
        return strf("%s/%s.root", i->folder, name);
}

static int on_kill_grace_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Instance *i = userdata;

        log_domain_warning(i->domain, "the supervisor does not end, killing it");
        (void) process_signal(&i->qemu, SIGKILL);
        (void) process_signal(&i->supervisor, SIGKILL);
        return 0;
}

static void arm_kill_grace(Instance *i) {
        int r;

        if (i->kill_grace)
                return;
        r = sd_event_add_time_relative(i->domain->manager->event, &i->kill_grace, CLOCK_MONOTONIC, KILL_GRACE_USEC, 0, on_kill_grace_over, i);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "a supervisor that hangs will not be killed: %m");
}

/* How its guest has ended, and what that said last, has arrived with the end of the process, and may come after it here. */
static void hear_out(Instance *i) {
        if (i->qmp)
                qmp_hear_out(i->qmp);
        for (size_t k = 0; k < i->n_consoles; k++)
                console_hear_out(i->consoles[k].console);
}

/* Either process ending is looked at in one place: the supervisor only ends after its QEMU, or takes it along. */
static int on_process_ended(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Instance *i = userdata;

        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (i->qemu.pid != 0 && process_is_alive(&i->qemu))
                return 0;
        if (!process_is_alive(&i->supervisor)) {
                if (i->domain->state != DOMAIN_STARTING)
                        hear_out(i);
                instance_ended(i);
        } else if (i->qemu.pid != 0) /* it holds leases, too, and ends any moment now: the next start must not find them */
                arm_kill_grace(i);
        return 0;
}

/* The source first: what is closed may be open in a child of ours that is about to become another program, and tell of its end for so long. */
static void forget_process(Process *p, sd_event_source **source) {
        *source = sd_event_source_disable_unref(*source);
        process_close(p);
}

static int watch_process(Instance *i, Process *p, sd_event_source **source) {
        return sd_event_add_io(i->domain->manager->event, source, p->pidfd, EPOLLIN, on_process_ended, i);
}

int instance_set_supervisor(Instance *i, pid_t pid, uint64_t start_time, Fault *f) {
        int r;

        assert(i);

        forget_process(&i->supervisor, &i->supervisor_source);
        r = process_open(pid, start_time, &i->supervisor);
        if (r < 0)
                return fault_set(f, FAULT_UNIT, -r, "the supervisor of %s (pid %d) has ended", i->domain->name, pid);
        r = watch_process(i, &i->supervisor, &i->supervisor_source);
        return r < 0 ? r : 0;
}

int instance_find_qemu(Instance *i, Fault *f) {
        pid_t pid;
        int r;

        assert(i);

        forget_process(&i->qemu, &i->qemu_source);
        r = process_only_child(&i->supervisor, &pid);
        if (r >= 0)
                r = process_open(pid, 0, &i->qemu);
        if (r < 0)
                return fault_set(f, FAULT_QEMU, -r, "%s: QEMU has ended", i->domain->name);
        r = watch_process(i, &i->qemu, &i->qemu_source);
        return r < 0 ? r : 0;
}

static int on_reconnect(sd_event_source *source, uint64_t usec, void *userdata) {
        Instance *i = userdata;
        int r;

        i->reconnect = sd_event_source_disable_unref(i->reconnect);
        r = instance_connect_monitor(i, NULL);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "can't reach QEMU's monitor: %m");
        return 0;
}

/* The monitor's end is not yet QEMU's end: that the pidfd tells. Should QEMU live on, a new connection is tried, ever more rarely. */
static void on_qmp_closed(Qmp *q, const Fault *why, void *userdata) {
        Instance *i = userdata;
        Domain *d = i->domain;
        uint64_t delay;

        i->monitor_ready = false;
        i->qmp = qmp_free(i->qmp);
        log_domain_debug(d, "monitor closed: %s", fault_text(why));
        monitor_closed(i, why);

        if (i->qemu.pid == 0 || !process_is_alive(&i->qemu))
                return;
        i->reconnect_tries++;
        if (i->reconnect_tries > 3)
                (void) domain_warn(d, "QEMU's monitor can't be used: %s", fault_text(why));
        delay = RECONNECT_USEC << MIN(i->reconnect_tries, 8u);
        (void) sd_event_add_time_relative(d->manager->event, &i->reconnect, CLOCK_MONOTONIC, delay, 0, on_reconnect, i);
}

static void on_qmp_ready(Qmp *q, void *userdata) {
        Instance *i = userdata;

        i->monitor_ready = true;
        i->reconnect_tries = 0;
        monitor_ready(i);
}

static void on_qmp_event(Qmp *q, const char *name, json_t *data, uint64_t usec, void *userdata) {
        Instance *i = userdata;

        monitor_event(i, name, data);
}

int instance_connect_monitor(Instance *i, Fault *f) {
        static const QmpWatch watch = { .ready = on_qmp_ready, .event = on_qmp_event, .closed = on_qmp_closed };
        _cleanup_free_ char *path = NULL;
        int fd, r;

        assert(i && !i->qmp);

        path = instance_socket(i, "monitor");
        if (!path)
                return fault_oom(f);
        fd = socket_connect_unix(path);
        if (fd < 0)
                return fault_set(f, FAULT_QEMU, -fd, "%s: can't connect to QEMU's monitor: %s", i->domain->name, strerror(-fd));
        r = qmp_new(i->domain->manager->event, fd, i->domain->name, 0, &watch, i, &i->qmp);
        if (r < 0)
                fd_close(fd);
        return r;
}

static int add_console(Instance *i, Device *d, Fault *f) {
        const char *id = d->id;
        _cleanup_free_ char *name = strf("console-%s", id), *path = NULL, *copy = strdup(id);
        _cleanup_free_ char *kept = strf("%s.%s", i->domain->uuid_string, id);
        _cleanup_(console_freep) Console *c = NULL;
        InstanceConsole *grown;
        int r;

        path = name ? instance_socket(i, name) : NULL;
        if (!path || !copy || !kept)
                return fault_oom(f);
        r = console_new(i->domain->manager->event, path, device_is_console(d) ? kept : NULL, &c, f);
        if (r < 0)
                return r;
        grown = reallocarray(i->consoles, i->n_consoles + 1, sizeof(*grown));
        if (!grown)
                return fault_oom(f);
        i->consoles = grown;
        if (console_tty(c) && chardev_set_tty(i->domain->live, d, console_tty(c)) < 0)
                return fault_oom(f);
        i->consoles[i->n_consoles++] = (InstanceConsole) { TAKE_PTR(copy), TAKE_PTR(c) };
        return 0;
}

void instance_connect_consoles(Instance *i) {
        const DomainDef *def;

        assert(i);

        def = i->domain->live;
        free_and_replace(&i->domain->live_text, NULL); /* terminals are written into it */
        for (size_t k = 0; def && k < def->devices.n; k++) {
                Device *d = (Device *) def->devices.items[k];
                _cleanup_fault_ Fault f = FAULT_INIT;

                if (!device_is_stream(d) || instance_find_console(i, d->id))
                        continue;
                if (add_console(i, d, &f) < 0)
                        (void) domain_warn(i->domain, "console %s can't be used: %s", d->id, fault_text(&f));
        }
}

Console *instance_find_console(const Instance *i, const char *device_id) {
        assert(i && device_id);

        for (size_t k = 0; k < i->n_consoles; k++)
                if (streq(i->consoles[k].id, device_id))
                        return i->consoles[k].console;
        return NULL;
}

void instance_forget_console(Instance *i, const char *device_id) {
        assert(i && device_id);

        for (size_t k = 0; k < i->n_consoles; k++)
                if (streq(i->consoles[k].id, device_id)) {
                        console_forget(i->consoles[k].console);
                        console_free(i->consoles[k].console);
                        free(i->consoles[k].id);
                        i->consoles[k] = i->consoles[--i->n_consoles];
                        return;
                }
}

static StateReason end_reason(const Instance *i) {
        if (i->panicked)
                return REASON_CRASHED;
        if (i->terminated)
                return REASON_DESTROYED;
        if (i->shutdown_seen)
                return i->shutdown_by_guest ? REASON_SHUTDOWN : REASON_DESTROYED;
        return REASON_CRASHED;
}

static void on_unit_gone(void *userdata) {
        Domain *d = userdata;

        d->leaving = unit_gone_free(d->leaving);
        start_unit_left(d);
        domain_settle(d);
}

void instance_watch_addresses(Instance *i) {
        int r;

        i->addresses = domain_addresses_free(i->addresses);
        r = domain_addresses_new(i->domain, &i->addresses);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "its addresses are not known: %m");
}

void instance_remove(Instance *i) {
        Domain *d;
        int r;

        assert(i);

        d = i->domain;
        if (i->unit && d->manager->bus) {
                d->leaving = unit_gone_free(d->leaving);
                r = unit_gone_watch(d->manager->bus, i->unit, on_unit_gone, d, &d->leaving);
                if (r < 0)
                        (void) log_domain_warning_errno(d, r, "can't watch the end of %s: %m", i->unit);
        }
        i->companions = companions_abandon(i->companions);
        if (i->unit)
                limits_reset(d);
        (void) tree_remove(i->folder);
        displays_forget(i->displays);
        for (size_t k = 0; k < i->n_consoles; k++)
                console_forget(i->consoles[k].console);
        instance_free(i);
}

Qmp *domain_qmp(const Domain *d) {
        assert(d);

        return d->instance ? d->instance->qmp : NULL;
}

int domain_ask(const Domain *d, const char *command, json_t *arguments, QmpReplyFunc reply, void *userdata, QmpRequest **ret) {
        Qmp *q = domain_qmp(d);

        if (q)
                return qmp_send(q, command, arguments, 0, reply, userdata, ret);
        json_decref(arguments);
        return -ENOTCONN;
}

void instance_ended(Instance *i) {
        Domain *d;
        StateReason reason;

        assert(i);

        d = i->domain;
        /* A start under way fails with QEMU's last words and does the rest in its undos. */
        if (start_qemu_ended(d))
                return;

        if (d->operation && d->operation->type->qemu_ended)
                d->operation->type->qemu_ended(d->operation);
        reason = end_reason(i);
        instance_remove(i);
        d->live = domain_def_free(d->live);
        d->live_generation = 0;
        domain_set_state(d, DOMAIN_SHUTOFF, reason);
        domain_changed(d, DOMAIN_CHANGED_LIVE | DOMAIN_CHANGED_TUNING);
        clock_keep(d);
        stop_domain_off(d);
        domain_settle(d);
}

void instance_expect_end(Instance *i) {
        assert(i);

        arm_kill_grace(i);
}

void instance_kill(Instance *i) {
        int r;

        assert(i);

        if (i->kill_grace)
                return;
        i->terminated = true;
        /* The supervisor kills QEMU and then ends as if all were well, so that the unit is not marked as failed. Only when it does
         * not react is QEMU killed over its head. */
        r = process_signal(&i->supervisor, SIGQUIT);
        arm_kill_grace(i);
        if (r < 0)
                (void) log_domain_warning_errno(i->domain, r, "can't kill QEMU: %m");
}
