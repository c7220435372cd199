/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-leases.h"

#include <inttypes.h>
#include <sys/sysmacros.h>

#include "bus-error.h"
#include "call-again.h"
#include "fd.h"
#include "manager.h"
#include "mem.h"
#include "sdbus.h"
#include "str.h"

#define LOCK1_NAME "org.virtbus.lock1"
#define LOCK1_ROOT "/org/virtbus/lock1"
#define LOCK1_MANAGER LOCK1_NAME ".Manager"
#define LOCKSPACE_DEFAULT "default"
/* virtlockd answers long before, whatever its file systems do. */
#define ACQUIRE_TIMEOUT_USEC (60u * 1000 * 1000)

typedef struct DomainLease {
        DomainLeases *all;
        char *lockspace, *resource, *path;
        bool shared;
        int fd;
        CallAgain *call;
} DomainLease;

struct DomainLeases {
        Domain *domain;
        DomainLease *items;
        size_t n, n_pending;
        Fault why;
        sd_event_source *defer;
        DomainLeasesDone done;
        void *userdata;
};

DomainLeases *domain_leases_free(DomainLeases *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n; i++) {
                DomainLease *lease = &l->items[i];

                call_again_free(lease->call);
                fd_close(lease->fd);
                free(lease->lockspace);
                free(lease->resource);
                free(lease->path);
        }
        sd_event_source_disable_unref(l->defer);
        fault_clear(&l->why);
        free(l->items);
        free(l);
        return NULL;
}

/* --- which --- */

/* Two paths to one file, or to one device, are one resource. */
static char *resource_of(const ImageUse *u) {
        if (u->block_device)
                return strf("block-%u-%u", major(u->dev), minor(u->dev));
        return strf("file-%u-%u-%" PRIu64, major(u->dev), minor(u->dev), u->inode);
}

static int used_twice(const DomainLeases *l, const ImageUse *u, const char *before, Fault *f) {
        fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "%s uses %s twice%s%s%s, and writes into it", l->domain->name, u->path,
                  streq(u->path, before) ? "" : " (it is also ", streq(u->path, before) ? "" : before, streq(u->path, before) ? "" : ")");
        fault_hint(f, "give each disk an image of its own");
        return -EINVAL;
}

/* Takes over `resource`. */
static int add(DomainLeases *l, const char *lockspace, char *resource, const ImageUse *u, Fault *f) {
        _cleanup_free_ char *owned = resource;
        DomainLease *lease;

        if (!owned)
                return fault_oom(f);
        for (size_t i = 0; i < l->n; i++)
                if (streq(l->items[i].resource, owned) && streq(l->items[i].lockspace, lockspace))
                        return l->items[i].shared && !u->alone ? 0 : used_twice(l, u, l->items[i].path, f);
        lease = &l->items[l->n++];
        *lease = (DomainLease) {
                .all = l, .lockspace = strdup(lockspace), .resource = TAKE_PTR(owned), .path = strdup(u->path), .shared = !u->alone, .fd = -1,
        };
        return lease->lockspace && lease->path ? 0 : fault_oom(f);
}

static int add_all(DomainLeases *l, const ImageUse *uses, size_t n, Fault *f) {
        const Settings *s = &l->domain->manager->settings;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++) {
                if (uses[i].lockspace) {
                        r = add(l, uses[i].lockspace, strdup(uses[i].resource), &uses[i], f);
                        continue;
                }
                if (!s->lease_disks)
                        continue;
                r = add(l, LOCKSPACE_DEFAULT, resource_of(&uses[i]), &uses[i], f);
                if (r >= 0 && s->shared_lockspace && uses[i].shared_key)
                        r = add(l, s->shared_lockspace, strdup(uses[i].shared_key), &uses[i], f);
        }
        return r;
}

/* --- asking --- */

static int append_owner(sd_bus_message *m, const DomainLease *lease, pid_t pid) {
        const Domain *d = lease->all->domain;
        int r = sd_bus_message_append_array(m, 'y', &d->uuid, sizeof(d->uuid));

        if (r >= 0)
                r = sd_bus_message_append(m, "sst", d->name, lease->shared ? "shared" : "exclusive", UINT64_C(0));
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}", "description", "s", lease->path, "unit", "s", domain_unit(d));
        if (r >= 0 && pid > 0)
                r = sd_bus_message_append(m, "{sv}", "pid", "u", (uint32_t) pid);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void explain(const DomainLease *lease, const sd_bus_error *e, Fault *f) {
        const char *own = str_after(e->name, "org.virtbus.Error.");
        _cleanup_fault_ Fault theirs = FAULT_INIT;

        if (!own && !streq(e->name, SD_BUS_ERROR_INVALID_ARGS)) {
                fault_set(f, FAULT_DISCONNECTED, EHOSTUNREACH, "%s can't be leased: virtlockd does not answer: %s", lease->path,
                          e->message ?: e->name);
                fault_hint(f, "install or start virtlockd; or do without leases: Disks=no in section [Leases] of qemu.conf");
                return;
        }
        (void) fault_from_bus(e, &theirs);
        if (theirs.kind == FAULT_LEASE_HELD && !theirs.hint)
                fault_hint(&theirs, "stop it first; or, if both may write into it, mark the disk as <shareable/> in both");
        fault_move(f, &theirs);
}

static int on_acquired(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        DomainLease *lease = userdata;
        DomainLeases *l = lease->all;
        int fd, r = 0;

        lease->call = call_again_free(lease->call);
        if (e && !fault_is_set(&l->why))
                explain(lease, e, &l->why);
        if (!e)
                r = sd_bus_message_read(reply, "h", &fd);
        if (!e && r >= 0)
                r = lease->fd = fd_copy(fd);
        if (r < 0)
                fault_set(&l->why, FAULT_DISCONNECTED, -r, "%s can't be leased: %s", lease->path, strerror(-r));
        if (--l->n_pending == 0)
                l->done(fault_is_set(&l->why) ? &l->why : NULL, l->userdata);
        return 0;
}

static int acquire(DomainLease *lease) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = lease->all->domain->manager->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, LOCK1_NAME, LOCK1_ROOT, LOCK1_MANAGER, "Acquire");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", lease->lockspace, lease->resource);
        if (r >= 0)
                r = append_owner(m, lease, 0);
        if (r >= 0)
                r = call_again(bus, m, on_acquired, lease, ACQUIRE_TIMEOUT_USEC, &lease->call);
        if (r >= 0)
                lease->all->n_pending++;
        return r;
}

static int on_defer(sd_event_source *source, void *userdata) {
        DomainLeases *l = userdata;

        l->defer = sd_event_source_disable_unref(l->defer);
        l->done(NULL, l->userdata);
        return 0;
}

static int ask(DomainLeases *l, Fault *f) {
        int r = 0;

        if (l->n == 0)
                return sd_event_add_defer(l->domain->manager->event, &l->defer, on_defer, l);
        if (!l->domain->manager->bus) {
                fault_set(f, FAULT_DISCONNECTED, EHOSTUNREACH, "%s can't be leased: there is no message bus to reach virtlockd on", l->items[0].path);
                fault_hint(f, "start the message bus; or do without leases: Disks=no in section [Leases] of qemu.conf");
                return -EHOSTUNREACH;
        }
        for (size_t i = 0; i < l->n && r >= 0; i++)
                r = acquire(&l->items[i]);
        return r < 0 ? fault_set(f, FAULT_DISCONNECTED, -r, "virtlockd can't be asked for leases: %s", strerror(-r)) : 0;
}

int domain_leases_new(Domain *d, const ImageUse *uses, size_t n, DomainLeasesDone done, void *userdata, DomainLeases **ret, Fault *f) {
        _cleanup_(domain_leases_freep) DomainLeases *l = new0(DomainLeases, 1);
        int r;

        assert(d && done && ret);

        if (!l)
                return fault_oom(f);
        *l = (DomainLeases) { .domain = d, .done = done, .userdata = userdata, .items = new0(DomainLease, 2 * n) };
        if (!l->items)
                return fault_oom(f);
        r = add_all(l, uses, n, f);
        if (r >= 0)
                r = ask(l, f);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

size_t domain_leases_count(const DomainLeases *l) {
        return l ? l->n : 0;
}

int domain_leases_fd(const DomainLeases *l, size_t i) {
        return l->items[i].fd;
}

const char *domain_leases_path(const DomainLeases *l, size_t i) {
        return l->items[i].path;
}

bool domain_leases_is_shared(const DomainLeases *l, size_t i) {
        return l->items[i].shared;
}

static int set_pid(const DomainLease *lease, pid_t pid) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = lease->all->domain->manager->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, LOCK1_NAME, LOCK1_ROOT, LOCK1_MANAGER, "Transfer");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssh", lease->lockspace, lease->resource, lease->fd);
        if (r >= 0)
                r = append_owner(m, lease, pid);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        return r < 0 ? r : sd_bus_send(bus, m, NULL);
}

void domain_leases_set_pid(const DomainLeases *l, pid_t pid) {
        for (size_t i = 0; l && i < l->n; i++) {
                int r = set_pid(&l->items[i], pid);

                if (r < 0)
                        log_domain_debug(l->domain, "virtlockd does not learn the process of %s: %s", l->items[i].path, strerror(-r));
        }
}
