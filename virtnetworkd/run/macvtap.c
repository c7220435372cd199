/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "macvtap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#define LOCKS_MAX ((size_t) 16 * 1024 * 1024)

typedef struct Macvtap {
        Macvtaps *all;
        int index;
        char name[IFNAMSIZ], link[IFNAMSIZ];
        char *device;                /* /dev/tapINDEX */
        sd_event_source *closed;
} Macvtap;

struct Macvtaps {
        sd_event *event;
        Links *links;
        Macvtap **items;
        size_t n, allocated;
        MacvtapsBusy busy;
        void *userdata;
};

static Macvtap *macvtap_free(Macvtap *t) {
        if (!t)
                return NULL;
        sd_event_source_disable_unref(t->closed);
        free(t->device);
        free(t);
        return NULL;
}
DEFINE_CLEANUP(Macvtap *, macvtap_free)

Macvtaps *macvtaps_free(Macvtaps *m) {
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n; i++)
                macvtap_free(m->items[i]);
        free(m->items);
        free(m);
        return NULL;
}

/* --- whether somebody has it open --- */

static bool lock_is_listed(const char *locks, const struct stat *st) {
        _cleanup_free_ char *which = strf(" %02x:%02x:%llu ", major(st->st_dev), minor(st->st_dev), (unsigned long long) st->st_ino);

        for (const char *at = which ? strstr(locks, which) : NULL; at; at = strstr(at + 1, which)) {
                const char *line = at;

                while (line > locks && line[-1] != '\n')
                        line--;
                if (memmem(line, (size_t) (at - line), "FLOCK", strlen("FLOCK")))
                        return true;
        }
        return false;
}

/* Opening it would give the guest a queue that nobody reads, if only for a moment: the kernel's list is asked first. In a container it may lack
 * locks that were taken by who is gone. */
static bool is_in_use(const Macvtap *t) {
        _cleanup_free_ char *locks = NULL;
        _cleanup_fd_ int fd = -1;
        struct stat st;
        size_t length;

        if (stat(t->device, &st) < 0)
                return false;
        if (file_read("/proc/locks", LOCKS_MAX, &locks, &length) >= 0 && lock_is_listed(locks, &st))
                return true;
        fd = open(t->device, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not for writing: we watch for those that are closed */
        return fd < 0 ? errno != ENOENT && errno != ENXIO && errno != ENODEV : flock(fd, LOCK_EX | LOCK_NB) < 0;
}

/* --- the set --- */

static void forget(Macvtap *t) {
        Macvtaps *m = t->all;

        for (size_t i = 0; i < m->n; i++)
                if (m->items[i] == t) {
                        m->items[i] = m->items[--m->n];
                        break;
                }
        macvtap_free(t);
        if (m->n == 0)
                m->busy(false, m->userdata);
}

/* At once: who is next may want the link to itself. */
static void remove_it(Macvtaps *m, int index, const char *name) {
        int r = links_remove(m->links, index);

        if (r < 0)
                (void) log_warning_errno(r, "%s, which nobody uses any more, can't be removed: %m", name);
}

static int on_closed(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Macvtap *t = userdata;

        if ((event->mask & IN_CLOSE) && is_in_use(t)) /* one queue of several, or our own look at it */
                return 0;
        if (event->mask & IN_CLOSE)
                remove_it(t->all, t->index, t->name);
        forget(t);
        return 0;
}

static int watch(Macvtaps *m, Macvtap *t) {
        int r;

        if (!GROW(m->items, m->allocated, m->n + 1))
                return -ENOMEM;
        r = sd_event_add_inotify(m->event, &t->closed, t->device, IN_CLOSE_WRITE | IN_DELETE_SELF, on_closed, t);
        if (r < 0)
                return r;
        m->items[m->n++] = t;
        if (m->n == 1)
                m->busy(true, m->userdata);
        return 0;
}

static int make(Macvtaps *m, const MacvtapInfo *info, Macvtap **ret) {
        _cleanup_(macvtap_freep) Macvtap *t = new0(Macvtap, 1);

        if (!t)
                return -ENOMEM;
        *t = (Macvtap) { .all = m, .index = info->index, .device = strf("/dev/tap%d", info->index) };
        (void) snprintf(t->name, sizeof(t->name), "%s", info->name);
        (void) snprintf(t->link, sizeof(t->link), "%s", info->link);
        if (!t->device)
                return -ENOMEM;
        *ret = TAKE_PTR(t);
        return 0;
}

static int on_found(const MacvtapInfo *info, void *userdata) {
        _cleanup_(macvtap_freep) Macvtap *t = NULL;
        Macvtaps *m = userdata;
        int r;

        if (!str_after(info->alias, "virtbus:"))
                return 0;
        r = make(m, info, &t);
        if (r < 0)
                return r;
        if (!is_in_use(t)) {
                remove_it(m, info->index, info->name);
                return 0;
        }
        r = watch(m, t);
        if (r >= 0)
                t = NULL;
        return r;
}

int macvtaps_new(sd_event *event, Links *links, MacvtapsBusy busy, void *userdata, Macvtaps **ret) {
        _cleanup_(macvtaps_freep) Macvtaps *m = new0(Macvtaps, 1);
        int r;

        assert(event && links && busy && ret);

        if (!m)
                return -ENOMEM;
        *m = (Macvtaps) { .event = event, .links = links, .busy = busy, .userdata = userdata };
        r = links_macvtaps(links, on_found, m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

unsigned macvtaps_count(const Macvtaps *m, const char *link) {
        unsigned n = 0;

        for (size_t i = 0; i < m->n; i++)
                n += streq(m->items[i]->link, link);
        return n;
}

int macvtaps_list(const Macvtaps *m, const char *link, char ***names, size_t *n) {
        int r = 0;

        for (size_t i = 0; i < m->n && r >= 0; i++)
                if (streq(m->items[i]->link, link))
                        r = strv_push_nth(names, n, m->items[i]->name);
        return r;
}

/* --- opening --- */

static int open_queue(const char *device, bool many, int *ret) {
        struct ifreq q = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
        _cleanup_fd_ int fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);

        if (fd < 0)
                return -errno;
        if (many)
                q.ifr_flags |= IFF_MULTI_QUEUE;
        /* Held by whoever has the descriptor, until the last of them closes it. */
        if (ioctl(fd, TUNSETIFF, &q) < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0)
                return -errno;
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_queues(const Macvtap *t, uint32_t n, int *fds, Fault *f) {
        int r = 0;

        for (uint32_t i = 0; i < n; i++)
                fds[i] = -1;
        for (uint32_t i = 0; i < n && r >= 0; i++)
                r = open_queue(t->device, n > 1, &fds[i]);
        if (r >= 0)
                return 0;
        for (uint32_t i = 0; i < n; i++)
                fds[i] = fd_close(fds[i]);
        fault_set(f, FAULT_NETWORK, -r, "%s can't be opened: %s", t->device, strerror(-r));
        if (r == -EPERM)
                fault_hint(f, "the unit's DeviceAllow=char-macvtap found no macvtap when it was started: load that module, and restart virtnetworkd");
        return r;
}

static bool never_taken(const char *name, void *userdata) {
        return false;
}

int macvtaps_open(Macvtaps *m, const MacvtapSpec *spec, char *ret_name, int *fds, Fault *f) {
        _cleanup_free_ char *alias = strf("virtbus:%s", spec->domain ?: "");
        _cleanup_(macvtap_freep) Macvtap *t = NULL;
        MacvtapInfo info = {};
        int r;

        assert(m && spec && ret_name && fds);

        if (!alias)
                return fault_oom(f);
        if (links_free_name(m->links, "macvtap", never_taken, NULL, info.name) < 0)
                return fault_set(f, FAULT_LIMIT, ENOSPC, "no name for a macvtap is free");
        r = links_add_macvtap(m->links, info.name, spec->link, spec->mode, spec->mac.set ? &spec->mac : NULL, alias, &info.index, f);
        if (r < 0)
                return r;
        (void) snprintf(info.link, sizeof(info.link), "%s", spec->link);
        r = make(m, &info, &t);
        if (r >= 0)
                r = open_queues(t, spec->queues, fds, f);
        if (r >= 0) {
                r = watch(m, t);
                for (uint32_t i = 0; i < spec->queues && r < 0; i++)
                        fds[i] = fd_close(fds[i]);
        }
        if (r < 0) {
                remove_it(m, info.index, info.name);
                return fault_is_set(f) ? r : fault_set(f, FAULT_NETWORK, -r, "a macvtap can't be watched: %s", strerror(-r));
        }
        t = NULL;
        memcpy(ret_name, info.name, IFNAMSIZ);
        return 0;
}
