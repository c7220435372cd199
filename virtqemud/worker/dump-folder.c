/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dump-folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#define KEEP_FREE_MAX (UINT64_C(4) << 30)
#define KEEP_FREE_PART 20u             /* of the file system */
#define PART ".part"

int dump_folder_open(const char *path, uint64_t largest, DumpFolder *ret) {
        _cleanup_fd_ int fd = -1;
        struct statvfs st;
        int r;

        assert(path && ret);

        r = mkdir_parents(path, 0700);
        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstatvfs(fd, &st) < 0)
                return -errno;
        *ret = (DumpFolder) {
                .fd = TAKE_FD(fd), .largest = largest,
                .keep_free = MIN((uint64_t) st.f_blocks * st.f_frsize / KEEP_FREE_PART, KEEP_FREE_MAX),
        };
        return 0;
}

/* What was not kept goes. */
void dump_folder_close(DumpFolder *d) {
        if (d->part)
                (void) unlinkat(d->fd, d->part, 0);
        free_and_replace(&d->part, NULL);
        d->fd = fd_close(d->fd);
}

/* --- what is there --- */

bool dump_folder_is_ours(const char *name) {
        static const char pattern[] = "-00000000T000000Z.dump";
        size_t n, length = sizeof(pattern) - 1;

        assert(name);

        n = strlen(name);
        if (n > strlen(PART) && streq(name + n - strlen(PART), PART))
                n -= strlen(PART);
        if (n <= length)
                return false;
        for (size_t i = 0; i < length; i++) {
                char c = name[n - length + i];

                if (pattern[i] == '0' ? !isdigit((unsigned char) c) : c != pattern[i])
                        return false;
        }
        return true;
}

/* One that is being written is nobody's to remove: who writes it has it locked. */
static bool is_removable(const DumpFolder *d, const char *name) {
        _cleanup_fd_ int fd = -1;

        if (streq_null(d->part, name))
                return false;
        fd = openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) >= 0;
}

typedef struct Contents {
        uint64_t bytes, removable_bytes;
        char *oldest;                /* that can be removed; NULL: there is none */
        struct timespec time;
} Contents;

static void contents_clear(Contents *c) {
        free(c->oldest);
}

static int add_file(const DumpFolder *d, Contents *c, const char *name) {
        struct stat st;
        uint64_t bytes;

        if (!dump_folder_is_ours(name) || fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                return 0;
        bytes = (uint64_t) st.st_blocks * 512;
        c->bytes += bytes;
        if (!is_removable(d, name))
                return 0;
        c->removable_bytes += bytes;
        if (c->oldest && (st.st_mtim.tv_sec > c->time.tv_sec || (st.st_mtim.tv_sec == c->time.tv_sec && st.st_mtim.tv_nsec >= c->time.tv_nsec)))
                return 0;
        c->time = st.st_mtim;
        return free_and_strdup(&c->oldest, name);
}

static int look(const DumpFolder *d, Contents *ret) {
        int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
        const struct dirent *e;

        if (!folder) {
                fd_close(fd);
                return -errno;
        }
        while (r >= 0 && (e = readdir(folder)))
                r = add_file(d, ret, e->d_name);
        (void) closedir(folder);
        return r;
}

/* --- room --- */

static int free_bytes(const DumpFolder *d, uint64_t *ret) {
        struct statvfs st;
        uint64_t bytes;

        if (fstatvfs(d->fd, &st) < 0)
                return -errno;
        bytes = (uint64_t) st.f_bavail * st.f_frsize;
        *ret = bytes > d->keep_free ? bytes - d->keep_free : 0;
        return 0;
}

int dump_folder_check(const DumpFolder *d, uint64_t bytes) {
        _cleanup_(contents_clear) Contents c = {};
        uint64_t unused = 0;
        int r;

        assert(d);

        r = look(d, &c);
        if (r >= 0)
                r = free_bytes(d, &unused);
        if (r < 0)
                return r;
        if (bytes > d->largest || c.bytes - c.removable_bytes > d->largest - bytes)
                return -EFBIG;
        return bytes > unused + c.removable_bytes ? -ENOSPC : 0;
}

int dump_folder_make_room(const DumpFolder *d, uint64_t bytes) {
        assert(d);

        for (;;) {
                _cleanup_(contents_clear) Contents c = {};
                uint64_t unused = 0;
                bool fits;
                int r = look(d, &c);

                if (r >= 0)
                        r = free_bytes(d, &unused);
                if (r < 0)
                        return r;
                fits = c.bytes + bytes <= d->largest;
                if (fits && bytes <= unused)
                        return 0;
                if (!c.oldest)
                        return fits ? -ENOSPC : -EFBIG;
                if (unlinkat(d->fd, c.oldest, 0) < 0 && errno != ENOENT)
                        return -errno;
        }
}

/* --- the new one --- */

int dump_folder_create(DumpFolder *d, const char *name) {
        _cleanup_fd_ int fd = -1;

        assert(d && name && !d->part);

        d->part = strf("%s" PART, name);
        if (!d->part)
                return -ENOMEM;
        fd = openat(d->fd, d->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
                free_and_replace(&d->part, NULL);
                return -errno;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int dump_folder_keep(DumpFolder *d, const char *name) {
        assert(d && d->part && name);

        if (renameat(d->fd, d->part, d->fd, name) < 0)
                return -errno;
        free_and_replace(&d->part, NULL);
        return fsync(d->fd) < 0 ? -errno : 0;
}
