/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"

int fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                /* Linux frees the number even when close() fails, so there is nothing to retry. */
                (void) close(fd);
                errno = saved;
        }
        return -1;
}

static int change_flag(int fd, int get, int set, int flag, bool on) {
        int flags = fcntl(fd, get);

        if (flags < 0)
                return -errno;
        if (!!(flags & flag) == on)
                return 0;
        return fcntl(fd, set, on ? flags | flag : flags & ~flag) < 0 ? -errno : 0;
}

int fd_set_nonblock(int fd, bool on) {
        return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, bool on) {
        return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_copy(int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        return copy < 0 ? -errno : copy;
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_length) {
        _cleanup_free_ char *data = NULL;
        size_t length = 0, allocated = 0;

        assert(fd >= 0 && ret);

        for (;;) {
                ssize_t n;

                if (!GROW(data, allocated, MAX(length + 2, (size_t) 4096)))
                        return -ENOMEM;
                n = read(fd, data + length, allocated - length - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                length += (size_t) n;
                if (length > max)
                        return -EFBIG;
        }
        data[length] = '\0';
        *ret = TAKE_PTR(data);
        if (ret_length)
                *ret_length = length;
        return 0;
}

int fd_write_all(int fd, const void *data, size_t length) {
        const char *p = data;

        while (length > 0) {
                ssize_t n = write(fd, p, length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                length -= (size_t) n;
        }
        return 0;
}

int memfd_new_sealed(const char *name, const void *data, size_t length) {
        _cleanup_fd_ int fd = -1;
        int r;

        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, data, length);
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return -errno;
        return TAKE_FD(fd);
}

typedef union FdControl {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * FDS_PER_MESSAGE)];
} FdControl;

ssize_t fd_send(int sock, const void *data, size_t length, const int *fds, size_t n_fds) {
        struct iovec iov = { (void *) data, length };
        FdControl control = {};
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        if (n_fds > FDS_PER_MESSAGE)
                return -E2BIG;
        if (n_fds > 0) {
                struct cmsghdr *c;

                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = ASSERT_PTR(CMSG_FIRSTHDR(&m));
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }
        do
                n = sendmsg(sock, &m, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

ssize_t fd_receive(int sock, void *data, size_t size, int *fds, size_t *n_fds) {
        struct iovec iov = { data, size };
        FdControl control = {};
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1,
                .msg_control = &control, .msg_controllen = sizeof(control),
        };
        size_t found = 0, room = *n_fds;
        ssize_t n;

        do
                n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
                size_t count;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (found < room)
                                fds[found++] = fd;
                        else
                                fd_close(fd);
                }
        }
        *n_fds = found;
        return n;
}
