/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guestlog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "copy.h"
#include "fd.h"
#include "fdstore.h"
#include "file.h"
#include "follow.h"
#include "log.h"
#include "mem.h"
#include "store.h"
#include "str.h"

#define PIPE_SIZE (256 * 1024)
#define TURN_MAX (1024u * 1024)      /* bytes taken before others have their turn */
#define RETRY_USEC (250u * 1000)     /* of a file that can't be written */

DEFINE_ENUM(GuestlogState, guestlog_state, "closed", "open", "full", "dropping")

struct Guestlog {
        const GuestlogContext *context;
        GuestlogSpec spec;                   /* with strings of its own */
        char *domain, *name, *unit;          /* … which are these */
        char uuid[SD_ID128_UUID_STRING_MAX];
        char *key, *fifo;
        Logfile *file;
        int pipe;
        sd_event_source *source, *retry;
        GuestlogState state;
        uint64_t full_since, dropped, dropped_now;
        JournalCopy copy;
        Followers *followers;
};

Guestlog *guestlog_free(Guestlog *g) {
        if (!g)
                return NULL;
        sd_event_source_disable_unref(g->source);
        sd_event_source_disable_unref(g->retry);
        followers_free(g->followers);
        fd_close(g->pipe);
        logfile_free(g->file);
        free(g->domain);
        free(g->name);
        free(g->unit);
        free(g->key);
        free(g->fifo);
        free(g);
        return NULL;
}

static JournalSource source_of(const Guestlog *g) {
        return (JournalSource) { .domain = g->domain, .uuid = g->uuid, .log = g->name, .unit = g->unit, .user = g->context->user };
}

static bool has_copy(const Guestlog *g) {
        return g->context->journal && g->context->settings->journal && g->spec.journal;
}

static void set_state(Guestlog *g, GuestlogState state) {
        if (g->state == state)
                return;
        g->state = state;
        g->context->changed(g, state == GUESTLOG_CLOSED, g->context->userdata);
}

/* --- the pipe --- */

static size_t available(const Guestlog *g) {
        int n = 0;

        return g->pipe >= 0 && ioctl(g->pipe, FIONREAD, &n) >= 0 && n > 0 ? (size_t) n : 0;
}

static void pass_on(Guestlog *g) {
        const JournalSource from = source_of(g);

        followers_wake(g->followers);
        if (has_copy(g))
                journal_copy_run(&g->copy, g->context->settings, g->context->journal, &from, g->file);
}

/* All writers have gone and all is read. */
static void end(Guestlog *g) {
        const JournalSource from = source_of(g);

        if (has_copy(g))
                journal_copy_finish(&g->copy, g->context->settings, g->context->journal, &from, g->file);
        g->source = sd_event_source_disable_unref(g->source);
        g->retry = sd_event_source_disable_unref(g->retry);
        g->pipe = fd_close(g->pipe);
        fdstore_drop(g->key);
        (void) unlink(g->fifo);
        followers_end(g->followers);
        set_state(g, GUESTLOG_CLOSED);
}

/* Moves what is there into the file. Negative: the file can't be written. */
static int drain(Guestlog *g) {
        size_t budget = TURN_MAX, n;
        unsigned idle = 0;

        while (budget > 0 && idle < 3 && (n = available(g)) > 0) {
                ssize_t moved = logfile_fill(g->file, g->pipe, n, budget);

                if (moved < 0)
                        return (int) moved;
                idle = moved > 0 ? 0 : idle + 1; /* a turn may go into a rotation */
                budget -= (size_t) moved;
        }
        return 0;
}

/* --- a file that can't be written --- */

static void throw_away(Guestlog *g) {
        static const char *const nowhere = "/dev/null";
        _cleanup_fd_ int fd = open(nowhere, O_WRONLY | O_CLOEXEC);
        size_t n;

        while (fd >= 0 && (n = available(g)) > 0) {
                ssize_t gone = splice(g->pipe, NULL, fd, NULL, n, SPLICE_F_NONBLOCK);

                if (gone <= 0)
                        break;
                g->dropped += (uint64_t) gone;
                g->dropped_now += (uint64_t) gone;
        }
}

static void works_again(Guestlog *g) {
        log_notice("%s %s: the log file can be written again", g->domain, g->name);
        g->retry = sd_event_source_disable_unref(g->retry);
        (void) sd_event_source_set_enabled(g->source, SD_EVENT_ON);
        set_state(g, GUESTLOG_OPEN);
}

/* Says what is missing before anything new is written. */
static int try_again(Guestlog *g) {
        _cleanup_free_ char *note = NULL;
        int r;

        if (g->dropped_now > 0) {
                note = strf("[%" PRIu64 " bytes of output are missing here: the log could not be written]", g->dropped_now);
                r = note ? logfile_note(g->file, note) : -ENOMEM;
                if (r < 0)
                        return r;
                g->dropped_now = 0;
        }
        return drain(g);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Guestlog *g = userdata;

        if (try_again(g) >= 0) {
                works_again(g);
                pass_on(g);
                return 0;
        }
        if (now_usec(CLOCK_MONOTONIC) - g->full_since >= g->context->settings->block_limit_usec) {
                throw_away(g);
                if (g->dropped_now > 0)
                        set_state(g, GUESTLOG_DROPPING);
        }
        (void) sd_event_source_set_time_relative(source, RETRY_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void stuck(Guestlog *g, int error) {
        log_warning("%s %s: %s can't be written: %s; output is kept in memory for a while, then dropped", g->domain, g->name,
                    logfile_path(g->file), strerror(-error));
        g->full_since = now_usec(CLOCK_MONOTONIC);
        (void) sd_event_source_set_enabled(g->source, SD_EVENT_OFF);
        if (sd_event_add_time_relative(g->context->event, &g->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry, g) < 0)
                (void) sd_event_source_set_enabled(g->source, SD_EVENT_ON);
        else
                set_state(g, GUESTLOG_FULL);
}

/* Asked now: since an event told of the last writer's end there may have been OpenLog(). */
static bool has_writers(const Guestlog *g) {
        struct pollfd p = { .fd = g->pipe, .events = POLLIN };

        return poll(&p, 1, 0) <= 0 || !(p.revents & POLLHUP) || available(g) > 0;
}

static int on_pipe(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Guestlog *g = userdata;
        int r;

        r = drain(g);
        pass_on(g);
        if (r < 0)
                stuck(g, r);
        else if ((events & EPOLLHUP) && !has_writers(g))
                end(g);
        return 0;
}

/* --- making --- */

static int on_rotating(uint64_t first, void *userdata) {
        Guestlog *g = userdata;

        return g->context->rotating(g, first, g->context->userdata);
}

static int make_names(Guestlog *g, const GuestlogSpec *spec, char **ret_path) {
        _cleanup_free_ char *folder = store_escape(spec->domain);

        (void) sd_id128_to_uuid_string(spec->uuid, g->uuid);
        g->domain = strdup(spec->domain);
        g->name = strdup(spec->name);
        g->unit = spec->unit ? strdup(spec->unit) : NULL;
        g->key = strf("%s.%s", g->uuid, spec->name);
        g->fifo = g->key ? strf("%s/%s.fifo", g->context->run_dir, g->key) : NULL;
        *ret_path = folder ? strf("%s/%s/%s.log", g->context->log_dir, folder, spec->name) : NULL;
        if (!g->domain || !g->name || (spec->unit && !g->unit) || !g->fifo || !*ret_path)
                return -ENOMEM;
        g->spec = *spec;
        g->spec.domain = g->domain;
        g->spec.name = g->name;
        g->spec.unit = g->unit;
        return 0;
}

int guestlog_new(const GuestlogContext *context, const GuestlogSpec *spec, uint64_t first, Guestlog **ret, Fault *f) {
        _cleanup_(guestlog_freep) Guestlog *g = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        assert(context && spec && ret);

        g = new0(Guestlog, 1);
        if (!g)
                return fault_oom(f);
        g->context = context;
        g->pipe = -1;
        r = make_names(g, spec, &path);
        if (r >= 0)
                r = followers_new(context->event, &g->followers);
        if (r < 0)
                return fault_oom(f);
        r = logfile_open(path, &spec->limits, first, &g->file);
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the log file %s can't be opened: %s", path, strerror(-r));
        logfile_on_rotation(g->file, on_rotating, g);
        g->copy.at = logfile_end(g->file);
        *ret = TAKE_PTR(g);
        return 0;
}

static int attach(Guestlog *g, int pipe) {
        int r;

        g->pipe = pipe;
        (void) fcntl(pipe, F_SETPIPE_SZ, PIPE_SIZE); /* as much as we are allowed */
        r = sd_event_add_io(g->context->event, &g->source, pipe, EPOLLIN, on_pipe, g);
        if (r < 0)
                return r;
        r = fdstore_keep(g->key, pipe);
        if (r < 0)
                log_warning("%s %s: output may get lost when virtlogd is restarted: %s", g->domain, g->name, strerror(-r));
        set_state(g, GUESTLOG_OPEN);
        return 0;
}

void guestlog_settle(Guestlog *g) {
        assert(g);

        if (g->state != GUESTLOG_OPEN || drain(g) < 0)
                return;
        pass_on(g);
        if (!has_writers(g))
                end(g);
}

int guestlog_resume(Guestlog *g) {
        int fd;

        assert(g && g->pipe < 0);

        fd = fdstore_take(g->key);
        if (fd < 0)
                fd = open(g->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        /* A FIFO tells of its last writer's end only if it has had one since it was opened for reading. */
        fd_close(open(g->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
        return attach(g, fd);
}

static int make_fifo(Guestlog *g) {
        int fd;

        (void) unlink(g->fifo);
        if (mkfifo(g->fifo, 0600) < 0)
                return -errno;
        fd = open(g->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? -errno : fd;
}

int guestlog_open(Guestlog *g, const GuestlogSpec *spec, int *ret_fd, Fault *f) {
        _cleanup_fd_ int fd = -1, pipe = -1;
        int r = 0;

        assert(g && spec && ret_fd);

        if (g->pipe < 0) {
                pipe = make_fifo(g);
                if (pipe < 0)
                        return fault_set(f, FAULT_STORE, -pipe, "%s can't be made: %s", g->fifo, strerror(-pipe));
        }
        /* There is a reader, so this does not wait. */
        fd = open(g->fifo, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return fault_set(f, FAULT_STORE, errno, "%s can't be opened: %m", g->fifo);
        logfile_set_limits(g->file, &spec->limits);
        g->spec.limits = spec->limits;
        g->spec.journal = spec->journal;
        if (!streq_null(g->unit, spec->unit) && free_and_strdup(&g->unit, spec->unit) < 0)
                return fault_oom(f);
        g->spec.unit = g->unit;
        if (pipe >= 0)
                r = attach(g, TAKE_FD(pipe));
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the log %s can't be read: %s", g->key, strerror(-r));
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* --- reading --- */

int guestlog_follow(Guestlog *g, uint64_t tail, int *ret_fd, Fault *f) {
        uint64_t end_at, first;
        int r;

        assert(g && ret_fd);

        first = logfile_first(g->file);
        end_at = logfile_end(g->file);
        r = followers_add(g->followers, g->file, end_at - MIN(tail, end_at - first), FOLLOWERS_MAX, ret_fd);
        if (r == -EUSERS)
                return fault_set(f, FAULT_LIMIT, EUSERS, "the log %s of %s is followed %u times already", g->name, g->domain, FOLLOWERS_MAX);
        if (r < 0)
                return r;
        if (g->state == GUESTLOG_CLOSED)
                followers_end(g->followers);
        return 0;
}

int guestlog_read(Guestlog *g, uint64_t *at, size_t max, char **ret, size_t *ret_length, Fault *f) {
        _cleanup_free_ char *data = NULL;
        LogfilePlace p;
        ssize_t n;
        int r;

        assert(g && at && ret && ret_length);

        data = new0(char, max);
        if (!data)
                return fault_oom(f);
        /* What was written before the call is part of the answer. */
        if (g->state == GUESTLOG_OPEN) {
                (void) drain(g);
                pass_on(g);
        }
        r = logfile_seek(g->file, at, &p);
        if (r == -ENODATA) {
                *at = logfile_end(g->file);
                n = 0;
        } else if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "the log %s of %s can't be read: %s", g->name, g->domain, strerror(-r));
        else {
                n = pread(p.fd, data, (size_t) MIN(p.length, (uint64_t) max), p.offset);
                r = -errno;
                fd_close(p.fd);
                if (n < 0)
                        return fault_set(f, FAULT_STORE, -r, "the log %s of %s can't be read: %s", g->name, g->domain, strerror(-r));
        }
        *ret = TAKE_PTR(data);
        *ret_length = (size_t) n;
        return 0;
}

int guestlog_rotate(Guestlog *g, Fault *f) {
        int r;

        assert(g);

        r = logfile_rotate(g->file);
        return r < 0 ? fault_set(f, FAULT_STORE, -r, "%s can't be rotated: %s", logfile_path(g->file), strerror(-r)) : 0;
}

const char *guestlog_key(const Guestlog *g) {
        return g->key;
}

const GuestlogSpec *guestlog_spec(const Guestlog *g) {
        return &g->spec;
}

GuestlogState guestlog_state(const Guestlog *g) {
        return g->state;
}

const char *guestlog_path(const Guestlog *g) {
        return logfile_path(g->file);
}

uint64_t guestlog_first(const Guestlog *g) {
        return logfile_first(g->file);
}

uint64_t guestlog_end(const Guestlog *g) {
        return logfile_end(g->file);
}

uint64_t guestlog_dropped(const Guestlog *g) {
        return g->dropped;
}

unsigned guestlog_followers(const Guestlog *g) {
        return followers_count(g->followers);
}
