/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "leases.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#include "file.h"
#include "log.h"
#include "str.h"

#define FILE_MAX ((size_t) 16 * 1024 * 1024)
/* dnsmasq empties its file and writes it in one go; what is read this long after the last write is whole. */
#define QUIET_USEC (50u * 1000)
/* Under a storm of requests it is read this often nevertheless. */
#define LATEST_USEC (500u * 1000)

struct Leases {
        sd_event *event;
        char *path;
        DhcpGrants grants;
        sd_event_source *inotify, *timer;
        uint64_t latest;         /* CLOCK_MONOTONIC; while the timer runs */
        LeasesWatch watch;
        void *userdata;
};

Leases *leases_free(Leases *l) {
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->inotify);
        sd_event_source_disable_unref(l->timer);
        sd_event_unref(l->event);
        dhcp_grants_clear(&l->grants);
        free(l->path);
        free(l);
        return NULL;
}

const DhcpGrants *leases_get(const Leases *l) {
        return &l->grants;
}

static int read_grants(const Leases *l, DhcpGrants *ret) {
        _cleanup_free_ char *text = NULL;
        size_t length;
        int r = file_read(l->path, FILE_MAX, &text, &length);

        *ret = (DhcpGrants) {};
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : dhcp_grants_parse(text, length, ret);
}

/* Both are sorted: one walk finds what only one of them has. An address with another guest behind it was taken away and given. */
static bool tell(const Leases *l, const DhcpGrants *before, const DhcpGrants *now) {
        bool any = false;
        size_t i = 0, k = 0;

        while (i < before->n || k < now->n) {
                int order = i == before->n ? 1 : k == now->n ? -1 : ip_compare(&before->items[i].address, &now->items[k].address);
                bool same = order == 0 && dhcp_grant_is_same(&before->items[i], &now->items[k]);

                any = any || !same || before->items[i].expires_usec != now->items[k].expires_usec;
                if (!same && order <= 0)
                        l->watch.removed(&before->items[i], l->userdata);
                if (!same && order >= 0)
                        l->watch.added(&now->items[k], l->userdata);
                i += order <= 0;
                k += order >= 0;
        }
        return any;
}

static int on_quiet(sd_event_source *source, uint64_t usec, void *userdata) {
        DhcpGrants before, now;
        Leases *l = userdata;
        int r;

        l->timer = sd_event_source_disable_unref(l->timer);
        r = read_grants(l, &now);
        if (r < 0) {
                (void) log_warning_errno(r, "%s can't be read: %m", l->path);
                return 0;
        }
        before = TAKE(l->grants, now);
        if (tell(l, &before, &now))
                l->watch.changed(l->userdata);
        dhcp_grants_clear(&before);
        return 0;
}

static int on_inotify(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Leases *l = userdata;
        uint64_t now;

        if (event->len > 0 && !streq(event->name, strrchr(l->path, '/') + 1))
                return 0;
        if (sd_event_now(l->event, CLOCK_MONOTONIC, &now) < 0)
                return 0;
        if (l->timer) {
                (void) sd_event_source_set_time(l->timer, MIN(now + QUIET_USEC, l->latest));
                return 0;
        }
        l->latest = now + LATEST_USEC;
        if (sd_event_add_time(l->event, &l->timer, CLOCK_MONOTONIC, now + QUIET_USEC, 0, on_quiet, l) < 0)
                log_warning("changes in %s are missed", l->path);
        return 0;
}

int leases_new(sd_event *event, const char *path, const LeasesWatch *watch, void *userdata, Leases **ret) {
        _cleanup_(leases_freep) Leases *l = new0(Leases, 1);
        _cleanup_free_ char *folder = NULL;
        int r;

        assert(event && path && strrchr(path, '/') && watch && ret);

        folder = strndup(path, (size_t) (strrchr(path, '/') - path));
        if (!l || !folder)
                return -ENOMEM;
        *l = (Leases) { .event = sd_event_ref(event), .path = strdup(path), .watch = *watch, .userdata = userdata };
        if (!l->path)
                return -ENOMEM;
        r = sd_event_add_inotify(event, &l->inotify, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR, on_inotify, l);
        if (r >= 0)
                r = read_grants(l, &l->grants);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}
