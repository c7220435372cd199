/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base64.h"
#include "fd.h"
#include "manager.h"
#include "mem.h"
#include "str.h"

#define PIECE ((size_t) 256 * 1024)
#define PIECE_TIMEOUT_USEC UINT64_C(60000000)

struct GuestFile {
        Domain *domain;
        GuestFileSpec spec;
        GuestWatch watch;
        QgaCall *call;
        json_int_t handle;
        bool is_open;                /* in the guest */
        int fd;                      /* our end of the pipe */
        sd_event_source *io, *defer;
        uint8_t *piece;              /* on its way */
        size_t length, done;
        bool end;                    /* there is no more to come */
        uint64_t bytes;
        Fault why;
};

static void on_ignored(json_t *result, const Fault *why, void *userdata) {
}

static GuestFile *guest_file_free(GuestFile *g) {
        domain_forget_guest_watch(g->domain, &g->watch);
        qga_call_free(g->call);
        sd_event_source_disable_unref(g->io);
        sd_event_source_disable_unref(g->defer);
        fd_close(g->fd);
        fault_clear(&g->why);
        free(g->piece);
        free(g);
        return NULL;
}

/* The guest's file does not stay open for an end that its own side knows nothing of. */
static void finish(GuestFile *g, const Fault *why) {
        void (*done)(const Fault *why, void *userdata) = g->spec.done;
        void *userdata = g->spec.userdata;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (why)
                (void) fault_copy(&f, why);
        if (g->is_open)
                (void) domain_ask_guest(g->domain, "guest-file-close", json_pack("{s:I}", "handle", g->handle), 0, on_ignored, NULL, NULL, NULL);
        guest_file_free(g);
        done(why ? &f : NULL, userdata);
}

static int on_deferred(sd_event_source *source, void *userdata) {
        GuestFile *g = userdata;

        finish(g, &g->why);
        return 0;
}

static void finish_later(GuestFile *g, const Fault *why) {
        g->call = qga_call_free(g->call);
        g->io = sd_event_source_disable_unref(g->io);
        if (!fault_is_set(&g->why))
                (void) fault_copy(&g->why, why);
        if (!g->defer)
                (void) sd_event_add_defer(g->domain->manager->event, &g->defer, on_deferred, g);
}

static void on_gone(const Fault *why, void *userdata) {
        GuestFile *g = userdata;

        g->is_open = false;
        finish(g, why);
}

void guest_file_cancel(GuestFile *g) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert(g);

        fault_set(&f, FAULT_CANCELED, ECANCELED, "the copy was given up");
        finish_later(g, &f);
}

static void fail(GuestFile *g, int error, const char *what) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        fault_set(&f, FAULT_GUEST_AGENT, error, "the guest of %s: %s: %s", g->domain->name, what, strerror(error));
        finish(g, &f);
}

/* One command; what it answers goes to `reply`. */
static void ask(GuestFile *g, const char *command, json_t *arguments, QgaReply reply) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        g->call = qga_call_free(g->call);
        if (domain_ask_guest(g->domain, command, arguments, PIECE_TIMEOUT_USEC, reply, g, &g->call, &f) < 0)
                finish(g, &f);
}

static void wait_for_pipe(GuestFile *g) {
        if (sd_event_source_set_enabled(g->io, SD_EVENT_ONESHOT) < 0)
                fail(g, EIO, "the pipe can't be watched");
}

/* --- from the guest --- */

static void on_read(json_t *result, const Fault *why, void *userdata) {
        GuestFile *g = userdata;
        const char *text = json_string_value(json_object_get(result, "buf-b64"));
        void *bytes;

        if (why) {
                finish(g, why);
                return;
        }
        free(TAKE_PTR(g->piece));
        g->length = g->done = 0;
        if (!text || base64_decode(text, &bytes, &g->length) < 0 || g->length > PIECE) {
                fail(g, EBADMSG, "what was read makes no sense");
                return;
        }
        g->piece = bytes;
        g->end = json_is_true(json_object_get(result, "eof")) || g->length == 0;
        wait_for_pipe(g);
}

static void read_more(GuestFile *g) {
        if (g->end && g->spec.at_end)
                g->spec.at_end(g->spec.userdata);
        else if (g->end)
                finish(g, NULL);
        else
                ask(g, "guest-file-read", json_pack("{s:I, s:i}", "handle", g->handle, "count", (int) PIECE), on_read);
}

void guest_file_go_on(GuestFile *g, bool more) {
        assert(g);

        if (g->defer)
                return; /* it has been given up meanwhile */
        g->end = !more;
        if (more)
                read_more(g);
        else
                finish(g, NULL);
}

static void pipe_takes(GuestFile *g) {
        ssize_t n = g->done < g->length ? write(g->fd, g->piece + g->done, g->length - g->done) : 0;

        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                fail(g, errno, "who reads it has gone");
                return;
        }
        g->done += (size_t) MAX(n, 0);
        g->bytes += (uint64_t) MAX(n, 0);
        if (n > 0)
                g->spec.progress(g->bytes, g->spec.userdata);
        if (g->done < g->length)
                wait_for_pipe(g);
        else
                read_more(g);
}

/* --- to the guest --- */

static void on_closed(json_t *result, const Fault *why, void *userdata) {
        GuestFile *g = userdata;

        g->is_open = false;
        finish(g, why);
}

static void on_flushed(json_t *result, const Fault *why, void *userdata) {
        GuestFile *g = userdata;

        if (why)
                finish(g, why);
        else
                ask(g, "guest-file-close", json_pack("{s:I}", "handle", g->handle), on_closed);
}

static void write_more(GuestFile *g);

static void on_written(json_t *result, const Fault *why, void *userdata) {
        GuestFile *g = userdata;
        json_int_t count = json_integer_value(json_object_get(result, "count"));

        if (why) {
                finish(g, why);
                return;
        }
        if (count <= 0 || (size_t) count > g->length - g->done) {
                fail(g, ENOSPC, "not all of it was written");
                return;
        }
        g->done += (size_t) count;
        g->bytes += (uint64_t) count;
        g->spec.progress(g->bytes, g->spec.userdata);
        if (g->done < g->length)
                write_more(g);
        else
                wait_for_pipe(g);
}

static void write_more(GuestFile *g) {
        _cleanup_free_ char *text = base64_encode(g->piece + g->done, g->length - g->done);

        ask(g, "guest-file-write", text ? json_pack("{s:I, s:s}", "handle", g->handle, "buf-b64", text) : NULL, on_written);
}

static void pipe_gives(GuestFile *g) {
        ssize_t n = read(g->fd, g->piece, PIECE);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                wait_for_pipe(g);
        else if (n < 0)
                fail(g, errno, "who writes it has gone");
        else if (n == 0)
                ask(g, "guest-file-flush", json_pack("{s:I}", "handle", g->handle), on_flushed);
        else {
                g->length = (size_t) n;
                g->done = 0;
                write_more(g);
        }
}

/* --- opening --- */

static int on_pipe(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        GuestFile *g = userdata;

        if (g->spec.mode == GUEST_FILE_READ)
                pipe_takes(g);
        else
                pipe_gives(g);
        return 0;
}

static int make_pipe(GuestFile *g) {
        bool reads = g->spec.mode == GUEST_FILE_READ;
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        g->fd = ends[reads ? 1 : 0];
        r = fd_set_nonblock(g->fd, true);
        if (r >= 0)
                r = sd_event_add_io(g->domain->manager->event, &g->io, g->fd, reads ? EPOLLOUT : EPOLLIN, on_pipe, g);
        if (r >= 0)
                r = sd_event_source_set_enabled(g->io, SD_EVENT_OFF);
        if (r < 0) {
                fd_close(ends[reads ? 0 : 1]);
                return r;
        }
        g->spec.opened(ends[reads ? 0 : 1], g->spec.userdata);
        return 0;
}

static void on_open(json_t *result, const Fault *why, void *userdata) {
        GuestFile *g = userdata;
        int r;

        if (why || !json_is_integer(result)) {
                if (why)
                        finish(g, why);
                else
                        fail(g, EBADMSG, "what it says of the file makes no sense");
                return;
        }
        g->handle = json_integer_value(result);
        g->is_open = true;
        r = make_pipe(g);
        if (r < 0)
                fail(g, -r, "no pipe");
        else if (g->spec.mode == GUEST_FILE_READ)
                read_more(g);
        else
                wait_for_pipe(g);
}

int guest_file_new(Domain *d, const GuestFileSpec *spec, GuestFile **ret, Fault *f) {
        static const char *const modes[] = { [GUEST_FILE_READ] = "r", [GUEST_FILE_WRITE] = "w", [GUEST_FILE_APPEND] = "a" };
        GuestFile *g = new0(GuestFile, 1);
        int r;

        assert(d && spec && spec->opened && spec->progress && spec->done && ret);

        if (!g)
                return fault_oom(f);
        *g = (GuestFile) { .domain = d, .spec = *spec, .fd = -1, .watch = { .gone = on_gone, .userdata = g } };
        g->piece = spec->mode == GUEST_FILE_READ ? NULL : malloc(PIECE);
        if (spec->mode != GUEST_FILE_READ && !g->piece)
                r = fault_oom(f);
        else
                r = domain_ask_guest(d, "guest-file-open", json_pack("{s:s, s:s}", "path", spec->path, "mode", modes[spec->mode]), 0, on_open, g, &g->call, f);
        if (r < 0) {
                guest_file_free(g);
                return r;
        }
        domain_watch_guest(d, &g->watch);
        *ret = g;
        return 0;
}
