/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "follow.h"

#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"

#define TURN_MAX (256u * 1024) /* bytes sent before others have their turn */

typedef struct Follower {
        Followers *all;
        const Logfile *file;
        int fd;
        sd_event_source *source;
        uint64_t at;
        bool ending;
        LIST_ENTRY(Follower) link;
} Follower;

struct Followers {
        sd_event *event;
        LIST_HEAD(, Follower) list;
        unsigned n;
};

static Follower *follower_free(Follower *f) {
        if (!f)
                return NULL;
        if (f->all) {
                LIST_REMOVE(f, link);
                f->all->n--;
        }
        sd_event_source_disable_unref(f->source);
        fd_close(f->fd);
        free(f);
        return NULL;
}
DEFINE_CLEANUP(Follower *, follower_free)

int followers_new(sd_event *event, Followers **ret) {
        Followers *f = new0(Followers, 1);

        assert(event && ret);

        if (!f)
                return -ENOMEM;
        f->event = sd_event_ref(event);
        LIST_INIT(&f->list);
        *ret = f;
        return 0;
}

Followers *followers_free(Followers *f) {
        if (!f)
                return NULL;
        while (!LIST_EMPTY(&f->list))
                follower_free(LIST_FIRST(&f->list));
        sd_event_unref(f->event);
        free(f);
        return NULL;
}

/* 1: there may be more to send; 0: all is sent; -EAGAIN: the client does not read; negative: it has gone. */
static int send_some(Follower *f) {
        LogfilePlace p;
        ssize_t n;
        int r;

        r = logfile_seek(f->file, &f->at, &p);
        if (r == -ENODATA)
                return 0;
        if (r < 0)
                return r;
        n = sendfile(f->fd, p.fd, &p.offset, (size_t) MIN(p.length, (uint64_t) TURN_MAX));
        r = n < 0 ? -errno : 1;
        fd_close(p.fd);
        if (n > 0)
                f->at += (uint64_t) n;
        return n == 0 ? -EIO : r; /* the file was cut under us */
}

static int on_writable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Follower *f = userdata;
        int r;

        if (events & (EPOLLHUP | EPOLLERR)) {
                follower_free(f);
                return 0;
        }
        r = send_some(f);
        if (r > 0 || r == -EAGAIN)
                return 0;
        if (r < 0 || f->ending)
                follower_free(f);
        else
                (void) sd_event_source_set_io_events(source, 0); /* a hang-up is told all the same */
        return 0;
}

int followers_add(Followers *all, const Logfile *file, uint64_t at, unsigned max, int *ret_fd) {
        _cleanup_(follower_freep) Follower *f = NULL;
        _cleanup_fd_ int theirs = -1;
        int pair[2], r;

        assert(all && file && ret_fd);

        if (all->n >= max)
                return -EUSERS;
        f = new0(Follower, 1);
        if (!f)
                return -ENOMEM;
        *f = (Follower) { .file = file, .fd = -1, .at = at };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        f->fd = pair[0];
        theirs = pair[1];
        (void) shutdown(theirs, SHUT_WR); /* nobody would read what they write */
        r = fd_set_nonblock(f->fd, true);
        if (r >= 0)
                r = sd_event_add_io(all->event, &f->source, f->fd, EPOLLOUT, on_writable, f);
        if (r < 0)
                return r;
        f->all = all;
        LIST_INSERT_HEAD(&all->list, f, link);
        all->n++;
        f = NULL;
        *ret_fd = TAKE_FD(theirs);
        return 0;
}

void followers_wake(Followers *all) {
        Follower *f;

        assert(all);

        LIST_FOREACH(f, &all->list, link)
                (void) sd_event_source_set_io_events(f->source, EPOLLOUT);
}

void followers_end(Followers *all) {
        Follower *f;

        assert(all);

        LIST_FOREACH(f, &all->list, link)
                f->ending = true;
        followers_wake(all);
}

unsigned followers_count(const Followers *all) {
        return all->n;
}
