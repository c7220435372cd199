/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* Closes and returns -1; leaves errno alone and takes -1. */
int fd_close(int fd);

static inline void fd_closep(int *fd) {
        *fd = fd_close(*fd);
}
#define _cleanup_fd_ _cleanup_(fd_closep)

int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);

/* A copy, close-on-exec, numbered 3 or more. */
int fd_copy(int fd);

/* Reads until end of file, at most `max` bytes (-EFBIG beyond). NUL-terminated; the length does not count the NUL. */
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_length);
int fd_write_all(int fd, const void *data, size_t length);

/* A memfd with that content, sealed against every change, offset 0. */
int memfd_new_sealed(const char *name, const void *data, size_t length);

/* One message of bytes with descriptors over an AF_UNIX socket. At most FDS_PER_MESSAGE descriptors (-E2BIG). Both return the
 * number of bytes; fd_receive() leaves what it got in fds[0..*n_fds), close-on-exec, and returns 0 at end of file. */
#define FDS_PER_MESSAGE 250
ssize_t fd_send(int sock, const void *data, size_t length, const int *fds, size_t n_fds);
ssize_t fd_receive(int sock, void *data, size_t size, int *fds, size_t *n_fds);
