/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-outside.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "socket.h"
#include "str.h"

/* What fits into one frame of any network. */
#define DATAGRAM_MAX 1400u
/* A host that has gone without a word is missed when it was silent for so long. */
#define SILENCE_SEC 60
#define PROBE_SEC 10
#define PROBES 3
#define UNANSWERED_MSEC 60000u

static void set_option(int fd, int level, int option, int value) {
        (void) setsockopt(fd, level, option, &value, sizeof(value));
}

static int connect_tcp(const Outside *o) {
        int fd = socket_connect_ip(&o->theirs, o->their_port);

        if (fd < 0)
                return fd;
        /* What is typed shall not wait for more. */
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, SILENCE_SEC);
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_SEC);
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNANSWERED_MSEC);
        return fd;
}

/* Looked at before it is opened: the path may have been made a link to anything. Open both ways, a FIFO has no end and nobody waits for
 * anybody, whoever else comes and goes. */
static int open_fifo(const char *path) {
        _cleanup_fd_ int fd = open(path, O_PATH | O_CLOEXEC);
        char again[sizeof("/proc/self/fd/") + 11];
        struct stat st;
        int fifo;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISFIFO(st.st_mode))
                return -ENOTSUP;
        (void) snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
        fifo = open(again, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        return fifo < 0 ? -errno : fifo;
}

/* As QEMU would: one for each way, or one for both. */
static int open_pipe(Outside *o) {
        _cleanup_free_ char *in = strf("%s.in", o->path), *out = strf("%s.out", o->path);
        _cleanup_fd_ int in_fd = in ? open_fifo(in) : -ENOMEM, out_fd = out ? open_fifo(out) : -ENOMEM;

        if (in_fd == -ENOENT || out_fd == -ENOENT) {
                int fd = open_fifo(o->path);

                if (fd < 0)
                        return fd;
                o->in = o->out = fd;
                return 0;
        }
        if (in_fd < 0 || out_fd < 0)
                return in_fd < 0 ? in_fd : out_fd;
        o->in = TAKE_FD(in_fd);
        o->out = TAKE_FD(out_fd);
        return 0;
}

int outside_open(Outside *o) {
        int fd = -EINVAL;

        assert(o && o->in < 0 && o->out < 0);

        switch (o->kind) {
        case OUTSIDE_TCP:
                fd = connect_tcp(o);
                break;
        case OUTSIDE_UNIX:
                fd = socket_connect_unix(o->path);
                break;
        case OUTSIDE_UDP:
                fd = socket_udp(&o->ours, o->our_port, &o->theirs, o->their_port);
                break;
        case OUTSIDE_PIPE:
                return open_pipe(o);
        }
        if (fd < 0)
                return fd;
        o->in = o->out = fd;
        return o->kind == OUTSIDE_TCP ? 1 : 0;
}

/* Where nobody listens the kernel may choose that very port for our end, sooner or later: then we have met ourselves. */
static bool is_ourselves(int fd) {
        struct sockaddr_storage a = {}, b = {};
        socklen_t a_length = sizeof(a), b_length = sizeof(b);

        if (getsockname(fd, (struct sockaddr *) &a, &a_length) < 0 || getpeername(fd, (struct sockaddr *) &b, &b_length) < 0)
                return false;
        return a_length == b_length && memcmp(&a, &b, sizeof(a)) == 0;
}

int outside_connected(const Outside *o) {
        socklen_t length = sizeof(int);
        int error = 0;

        assert(o && o->out >= 0);

        if (getsockopt(o->out, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                return -errno;
        return error == 0 && is_ourselves(o->out) ? -ECONNREFUSED : -error;
}

void outside_close(Outside *o) {
        assert(o);

        if (o->in != o->out)
                fd_close(o->in);
        o->out = fd_close(o->out);
        o->in = -1;
}

/* Who writes into a FIFO that it also reads from would hear itself: it reads when somebody has taken all that it wrote. */
bool outside_may_read(Outside *o) {
        int n = 0;

        assert(o);

        if (o->unread && (ioctl(o->in, FIONREAD, &n) < 0 || n == 0))
                o->unread = false;
        return !o->unread;
}

ssize_t outside_read(Outside *o, void *data, size_t size) {
        ssize_t n;

        assert(o && o->in >= 0 && data);

        if (!outside_may_read(o))
                return -EAGAIN;
        n = read(o->in, data, size);
        if (o->kind == OUTSIDE_UDP)
                return n > 0 ? n : -EAGAIN; /* an empty one, or word that nobody heard an earlier one of ours */
        return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

/* Nobody knows whether one arrives; that an earlier one did not is told instead of sending. */
static ssize_t write_datagram(const Outside *o, const void *data, size_t length) {
        size_t n = MIN(length, (size_t) DATAGRAM_MAX);

        if (send(o->out, data, n, 0) < 0 && errno == ECONNREFUSED)
                (void) send(o->out, data, n, 0);
        return (ssize_t) n;
}

ssize_t outside_write(Outside *o, const void *data, size_t length) {
        ssize_t n;

        assert(o && o->out >= 0 && data);

        if (o->kind == OUTSIDE_UDP)
                return write_datagram(o, data, length);
        n = write(o->out, data, length);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        o->unread = o->kind == OUTSIDE_PIPE && o->in == o->out;
        return n;
}
