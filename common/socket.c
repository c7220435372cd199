/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define IP_BACKLOG 16

/* A name for `path` that fits: the path itself, or the file below a descriptor of its folder. */
static int make_address(const char *path, struct sockaddr_un *ret, int *ret_folder) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = NULL;
        _cleanup_fd_ int fd = -1;

        *ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
        if (strlen(path) < sizeof(ret->sun_path)) {
                memcpy(ret->sun_path, path, strlen(path) + 1);
                *ret_folder = -1;
                return 0;
        }
        if (!slash || strlen(slash) > 64)
                return -ENAMETOOLONG;

        folder = strndup(path, (size_t) (slash - path) + 1);
        if (!folder)
                return -ENOMEM;
        fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        (void) snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d%s", fd, slash);
        *ret_folder = TAKE_FD(fd);
        return 0;
}

static int remove_stale(const char *path) {
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        return unlink(path) < 0 ? -errno : 0;
}

int socket_listen_unix(const char *path, mode_t mode) {
        _cleanup_fd_ int fd = -1, folder = -1;
        struct sockaddr_un sa;
        int r;

        assert(path);

        r = make_address(path, &sa, &folder);
        if (r < 0)
                return r;
        r = remove_stale(path);
        if (r < 0)
                return r;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        /* The inode gets the socket's own mode, so there is no moment with a wider one. */
        if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return -errno;
        if (chmod(path, mode) < 0 || listen(fd, 16) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int socket_connect_unix(const char *path) {
        _cleanup_fd_ int fd = -1, folder = -1;
        struct sockaddr_un sa;
        int r;

        assert(path);

        r = make_address(path, &sa, &folder);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static socklen_t make_ip_address(const IpAddress *ip, uint16_t port, struct sockaddr_storage *ret) {
        *ret = (struct sockaddr_storage) { .ss_family = (sa_family_t) ip->family };
        if (ip->family == AF_INET) {
                struct sockaddr_in *in = (struct sockaddr_in *) ret;

                in->sin_addr = ip->v4;
                in->sin_port = htons(port);
                return sizeof(*in);
        }

        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) ret;

        in6->sin6_addr = ip->v6;
        in6->sin6_port = htons(port);
        return sizeof(*in6);
}

int socket_listen_ip(const IpAddress *ip, uint16_t port) {
        _cleanup_fd_ int fd = socket(ip->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_storage address;
        socklen_t length = make_ip_address(ip, port, &address);
        int yes = 1;

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 || bind(fd, (struct sockaddr *) &address, length) < 0 || listen(fd, IP_BACKLOG) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int socket_connect_ip(const IpAddress *ip, uint16_t port) {
        _cleanup_fd_ int fd = socket(ip->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_storage address;
        socklen_t length = make_ip_address(ip, port, &address);

        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &address, length) < 0 && errno != EINPROGRESS)
                return -errno;
        return TAKE_FD(fd);
}

static int bind_udp(const IpAddress *ip, uint16_t port) {
        _cleanup_fd_ int fd = socket(ip->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_storage address;
        socklen_t length = make_ip_address(ip, port, &address);

        if (fd < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *) &address, length) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int socket_udp(const IpAddress *ours, uint16_t our_port, const IpAddress *theirs, uint16_t their_port) {
        _cleanup_fd_ int fd = bind_udp(ours, our_port);
        struct sockaddr_storage address;
        socklen_t length = make_ip_address(theirs, their_port, &address);

        if (fd < 0)
                return fd;
        return connect(fd, (struct sockaddr *) &address, length) < 0 ? -errno : TAKE_FD(fd);
}
