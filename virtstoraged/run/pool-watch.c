/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-watch.h"

#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"
#include "mem.h"
#include "pool-refresh.h"
#include "pools.h"
#include "str.h"
#include "volumes.h"

/* Names that came and went are looked at together. */
#define SOON_USEC (20u * 1000)
/* Guests that write tell all the time: so often is looked at what they made of it. */
#define MODIFIED_USEC (1000u * 1000)
/* With more of them everything is looked at. */
#define NAMES_MAX 256u

struct PoolWatch {
        Pool *pool;
        int inotify;
        sd_event_source *io, *timer;
        char **names;
        size_t n_names;
        bool all;                    /* too much has happened to name it */
        bool looking;
};

static int on_inotify(sd_event_source *source, int fd, uint32_t events, void *userdata);

int pool_watch_new(Pool *p, PoolWatch **ret, Fault *f) {
        _cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        PoolWatch *w = new0(PoolWatch, 1);
        int r;

        if (!w)
                return fault_oom(f);
        w->pool = p;
        w->inotify = fd;
        r = fd < 0 ? -errno : sd_event_add_io(p->all->event, &w->io, fd, EPOLLIN, on_inotify, w);
        if (r < 0) {
                free(w);
                return fault_set(f, FAULT_LIMIT, -r, "%s can't be watched: %s", p->live->path, strerror(-r));
        }
        TAKE_FD(fd);
        *ret = w;
        return 0;
}

PoolWatch *pool_watch_free(PoolWatch *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->io);
        sd_event_source_disable_unref(w->timer);
        fd_close(w->inotify);
        strv_free(w->names);
        free(w);
        return NULL;
}

int pool_watch_fd(const PoolWatch *w) {
        return w->inotify;
}

/* --- looking --- */

static void listen_again(Pool *p) {
        if (!p->watch)
                return; /* it was stopped meanwhile */
        p->watch->looking = false;
        (void) sd_event_source_set_enabled(p->watch->io, SD_EVENT_ON);
}

static int on_volumes(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], void *userdata) {
        return volumes_take(userdata, json);
}

static void on_refreshed(void *object, _unused_ const Fault *why, _unused_ void *userdata) {
        Pool *p = object;

        listen_again(p);
}

static void on_looked(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        const json_t *item;
        Pool *p = userdata;
        size_t i;

        if (why && why->error == WORKER_DIED && pool_refresh(p, on_refreshed, NULL, NULL) >= 0)
                return;
        if (why)
                pool_note_failure(p, why);
        else {
                pool_note_success(p);
                json_array_foreach(json_object_get(json, "gone"), i, item) {
                        Volume *v = json_is_string(item) ? volumes_find(p, json_string_value(item)) : NULL;

                        if (v)
                                volumes_remove(v);
                }
                pool_take_space(p, json);
        }
        listen_again(p);
}

static int look(PoolWatch *w) {
        Pool *p = w->pool;
        json_t *names = json_array();

        if (TAKE(w->all, false) || !w->names) {
                json_decref(names);
                strv_free(TAKE_PTR(w->names));
                w->n_names = 0;
                return pool_refresh(p, on_refreshed, NULL, NULL);
        }
        for (char **n = w->names; n && *n; n++)
                (void) json_array_append_new(names, json_string(*n));
        strv_free(TAKE_PTR(w->names));
        w->n_names = 0;

        const WorkerCall call = { .request = json_pack("{s:s, s:o}", "do", "look", "names", names), .part = on_volumes, .done = on_looked, .userdata = p };
        return worker_ask(p->worker, &call, NULL);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        PoolWatch *w = userdata;

        w->timer = sd_event_source_disable_unref(w->timer);
        w->looking = true;
        if (look(w) < 0)
                listen_again(w->pool);
        return 0;
}

/* --- hearing --- */

static void take_name(PoolWatch *w, const char *name) {
        if (*name == '.' || strv_contains(w->names, name))
                return;
        if (w->n_names >= NAMES_MAX || strv_push_nth(&w->names, &w->n_names, name) < 0)
                w->all = true;
}

/* Whether it may wait: the file is only being written to. */
static bool take_event(PoolWatch *w, const struct inotify_event *e) {
        if (e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) {
                w->all = true;
                if (!(e->mask & IN_Q_OVERFLOW))
                        w->pool->watch_lost = true; /* another folder may be there now */
                return false;
        }
        if (e->len > 0)
                take_name(w, e->name);
        return e->mask & IN_MODIFY;
}

static int on_inotify(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        char buffer[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
        PoolWatch *w = userdata;
        bool patient = true;
        ssize_t n;
        int r;

        n = read(fd, buffer, sizeof(buffer));
        if (n <= 0)
                return 0;
        for (char *at = buffer; at < buffer + n;) {
                const struct inotify_event *e = (const struct inotify_event *) at;

                patient = take_event(w, e) && patient;
                at += sizeof(*e) + e->len;
        }
        if (!w->names && !w->all)
                return 0;
        /* Until then the kernel collects, and folds what is the same. */
        (void) sd_event_source_set_enabled(w->io, SD_EVENT_OFF);
        r = sd_event_add_time_relative(w->pool->all->event, &w->timer, CLOCK_MONOTONIC, patient ? MODIFIED_USEC : SOON_USEC, 0, on_timer, w);
        if (r < 0) {
                (void) log_warning_errno(r, "pool %s: changes can't be followed: %m", w->pool->name);
                (void) sd_event_source_set_enabled(w->io, SD_EVENT_ON);
        }
        return 0;
}
