/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

static int open_parent(const char *path) {
        _cleanup_free_ char *folder = NULL;
        const char *slash = strrchr(path, '/');
        int fd;

        folder = slash ? strndup(path, (size_t) MAX(slash - path, (ptrdiff_t) 1)) : strdup(".");
        if (!folder)
                return -ENOMEM;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int write_synced(int folder, const char *name, const void *data, size_t length, mode_t mode) {
        _cleanup_fd_ int fd = -1;
        int r;

        fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, data, length);
        if (r < 0)
                return r;
        if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

int file_write_atomic(const char *path, const void *data, size_t length, mode_t mode) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_fd_ int folder = -1;
        const char *name;
        int r;

        assert(path && (data || length == 0));

        folder = open_parent(path);
        if (folder < 0)
                return folder;

        name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        /* A fixed name: what a crash leaves behind is replaced by the next write instead of piling up. One process owns
         * each folder, so nobody else writes it at the same time. */
        temporary = strf(".#%s", name);
        if (!temporary)
                return -ENOMEM;
        if (unlinkat(folder, temporary, 0) < 0 && errno != ENOENT)
                return -errno;

        r = write_synced(folder, temporary, data, length, mode);
        if (r >= 0 && renameat(folder, temporary, folder, name) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlinkat(folder, temporary, 0);
                return r;
        }
        return fsync(folder) < 0 ? -errno : 0;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_length) {
        _cleanup_fd_ int fd = -1;
        struct stat st;

        assert(path && ret);

        /* Non-blocking, so that a FIFO put in place of the file can't hold us. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        return fd_read_all(fd, max, ret, ret_length);
}

int file_sync_name(const char *path) {
        _cleanup_free_ char *name = strdup(path);
        _cleanup_fd_ int folder = -1;
        char *slash;

        if (!name)
                return -ENOMEM;
        /* A folder that is gone as well was a name in the one above it. */
        while ((folder = open_parent(name)) == -ENOENT && (slash = strrchr(name, '/')) && slash != name)
                *slash = '\0';
        if (folder < 0)
                return TAKE(folder, -1);
        return fsync(folder) < 0 ? -errno : 0;
}

int mkdir_parents(const char *path, mode_t mode) {
        _cleanup_free_ char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + 1;; p++) {
                char saved = *p;

                if (saved != '/' && saved != '\0')
                        continue;
                *p = '\0';
                if (mkdir(copy, mode) >= 0)
                        (void) file_sync_name(copy);
                else if (errno != EEXIST)
                        return -errno;
                if (saved == '\0')
                        return 0;
                *p = saved;
        }
}

int file_remove(const char *path) {
        assert(path);

        if (unlink(path) < 0)
                return errno == ENOENT ? 0 : -errno;
        return file_sync_name(path);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
        return remove(path) < 0 ? -errno : 0;
}

int tree_remove(const char *path) {
        int r;

        assert(path);

        r = nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        return r == -1 ? (errno == ENOENT ? 0 : -errno) : r;
}
