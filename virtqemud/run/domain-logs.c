/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../device/chardev.h"
#include "../device/device.h"
#include "call-again.h"
#include "fd.h"
#include "instance.h"
#include "log.h"
#include "manager.h"
#include "mem.h"
#include "qemu-log.h"
#include "sdbus.h"
#include "str.h"

#define LOG1_NAME "org.virtbus.log1"
#define LOG1_ROOT "/org/virtbus/log1"
#define LOG1_MANAGER LOG1_NAME ".Manager"
#define OPEN_TIMEOUT_USEC (5u * 1000 * 1000)
#define OPEN_AGAIN_USEC (100u * 1000)   /* of one that has not answered the last time */

typedef struct DomainLog {
        DomainLogs *all;
        char *name;
        int fd, keep;
        CallAgain *call;
} DomainLog;

struct DomainLogs {
        Domain *domain;
        DomainLog *items;
        size_t n, n_pending;
        sd_event_source *defer;
        DomainLogsDone done;
        void *userdata;
};

DomainLogs *domain_logs_free(DomainLogs *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n; i++) {
                call_again_free(l->items[i].call);
                fd_close(l->items[i].fd);
                fd_close(l->items[i].keep);
                free(l->items[i].name);
        }
        sd_event_source_disable_unref(l->defer);
        free(l->items);
        free(l);
        return NULL;
}

/* --- one log --- */

static void open_file(DomainLog *log) {
        log->fd = qemu_log_open_file(log->all->domain, log->name);
        if (log->fd < 0)
                (void) domain_warn(log->all->domain, "the output of %s is not kept: %s", log->name, strerror(-log->fd));
}

static int take_pipe(DomainLog *log, sd_bus_message *reply) {
        char path[64];
        int fd, r;

        r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0)
                return r;
        log->fd = fd_copy(fd);
        if (log->fd < 0)
                return log->fd;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        log->keep = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        return 0;
}

/* VMs start without virtlogd; only the first one waits for it to be sure that it is stuck. */
static void note_silence(Manager *m, const sd_bus_error *e) {
        bool silent = e && (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT));

        if (silent && !m->logs_silent)
                log_warning("virtlogd did not answer within %u s: what VMs say that are started now goes to files that virtqemud makes itself",
                            OPEN_TIMEOUT_USEC / 1000000);
        m->logs_silent = silent;
}

static int on_opened(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        DomainLog *log = userdata;
        DomainLogs *l = log->all;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int r = 0;

        log->call = call_again_free(log->call);
        note_silence(l->domain->manager, e);
        if (!e)
                r = take_pipe(log, reply);
        if (e || r < 0) {
                log_domain_debug(l->domain, "virtlogd has no log %s: %s", log->name, e ? e->message : strerror(-r));
                open_file(log);
        } else if (streq(log->name, QEMU_LOG_NAME))
                qemu_log_by_daemon(l->domain);
        if (--l->n_pending == 0)
                l->done(l->userdata);
        return 0;
}

static int call_open(DomainLog *log) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const Domain *d = log->all->domain;
        sd_bus *bus = d->manager->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, LOG1_NAME, LOG1_ROOT, LOG1_MANAGER, "OpenLog");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', &d->uuid, sizeof(d->uuid));
        if (r >= 0 && d->unit)
                r = sd_bus_message_append(m, "ssta{sv}", d->name, log->name, UINT64_C(0), 1, "unit", "s", d->unit);
        else if (r >= 0)
                r = sd_bus_message_append(m, "ssta{sv}", d->name, log->name, UINT64_C(0), 0);
        return r < 0 ? r : call_again(bus, m, on_opened, log, d->manager->logs_silent ? OPEN_AGAIN_USEC : OPEN_TIMEOUT_USEC, &log->call);
}

/* --- all of them --- */

static int on_defer(sd_event_source *source, void *userdata) {
        DomainLogs *l = userdata;

        l->defer = sd_event_source_disable_unref(l->defer);
        l->done(l->userdata);
        return 0;
}

static int add(DomainLogs *l, const char *name) {
        DomainLog *log = &l->items[l->n];

        *log = (DomainLog) { .all = l, .name = strdup(name), .fd = -1, .keep = -1 };
        if (!log->name)
                return -ENOMEM;
        l->n++;
        return 0;
}

static int add_all(DomainLogs *l, const DomainDef *def, bool qemu) {
        int r = qemu ? add(l, QEMU_LOG_NAME) : 0;

        for (size_t i = 0; i < def->devices.n && r >= 0; i++) {
                const Device *d = (const Device *) def->devices.items[i];

                if (l->domain->manager->settings.log_consoles && chardev_is_logged(d))
                        r = add(l, d->id);
        }
        return r;
}

int domain_logs_new(Domain *d, const DomainDef *live, bool qemu, DomainLogsDone done, void *userdata, DomainLogs **ret, Fault *f) {
        _cleanup_(domain_logs_freep) DomainLogs *l = new0(DomainLogs, 1);

        assert(d && live && done && ret);

        if (!l)
                return fault_oom(f);
        *l = (DomainLogs) { .domain = d, .done = done, .userdata = userdata, .items = new0(DomainLog, live->devices.n + 1) };
        if (!l->items || add_all(l, live, qemu) < 0)
                return fault_oom(f);
        for (size_t i = 0; i < l->n; i++)
                if (d->manager->bus && call_open(&l->items[i]) >= 0)
                        l->n_pending++;
                else
                        open_file(&l->items[i]);
        if (l->n_pending == 0 && sd_event_add_defer(d->manager->event, &l->defer, on_defer, l) < 0)
                return fault_oom(f);
        *ret = TAKE_PTR(l);
        return 0;
}

int domain_logs_fd(const DomainLogs *l, const char *name) {
        for (size_t i = 0; l && i < l->n; i++)
                if (streq(l->items[i].name, name))
                        return l->items[i].fd;
        return -1;
}

size_t domain_logs_count(const DomainLogs *l) {
        return l ? l->n : 0;
}

int domain_logs_keep(const DomainLogs *l, size_t i) {
        return l->items[i].keep;
}
