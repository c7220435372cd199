/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logfile.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

struct Logfile {
        char *path;
        LogfileLimits limits;
        int fd;
        int peek[2];                 /* a pipe that shows what is in another one without taking it */
        uint64_t size;               /* of the current file */
        uint64_t base;               /* number of its first byte */
        uint64_t sizes[LOGFILE_BACKUPS_MAX]; /* of the backups, [0] is the newest */
        unsigned n_backups;          /* that exist */
        LogfileRotating rotating;
        void *userdata;
};

static char *backup_path(const Logfile *l, unsigned i) {
        return strf("%s.%u", l->path, i);
}

Logfile *logfile_free(Logfile *l) {
        if (!l)
                return NULL;
        fd_close(l->fd);
        fd_close(l->peek[0]);
        fd_close(l->peek[1]);
        free(l->path);
        free(l);
        return NULL;
}

static int open_current(Logfile *l) {
        struct stat st;

        l->fd = fd_close(l->fd);
        l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
        if (l->fd < 0)
                return -errno;
        if (fstat(l->fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EEXIST;
        l->size = (uint64_t) st.st_size;
        return 0;
}

/* A rotation that was interrupted leaves a gap in the numbers. It is closed, or the next one would rename over what lies behind it. */
static int find_backups(Logfile *l) {
        for (unsigned i = 0; i <= LOGFILE_BACKUPS_MAX && l->n_backups < LOGFILE_BACKUPS_MAX; i++) {
                _cleanup_free_ char *path = backup_path(l, i), *right = backup_path(l, l->n_backups);
                struct stat st;

                if (!path || !right)
                        return -ENOMEM;
                if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
                        continue;
                if (i != l->n_backups && rename(path, right) < 0)
                        return -errno;
                l->sizes[l->n_backups++] = (uint64_t) st.st_size;
        }
        return 0;
}

static int make_folder(const char *path) {
        _cleanup_free_ char *folder = strndup(path, (size_t) (strrchr(path, '/') - path));

        return folder ? mkdir_parents(folder, 0700) : -ENOMEM;
}

int logfile_open(const char *path, const LogfileLimits *limits, uint64_t first, Logfile **ret) {
        _cleanup_(logfile_freep) Logfile *l = NULL;
        int r;

        assert(path && path[0] == '/' && limits && ret);

        l = new0(Logfile, 1);
        if (!l)
                return -ENOMEM;
        l->fd = l->peek[0] = l->peek[1] = -1;
        l->path = strdup(path);
        if (!l->path)
                return -ENOMEM;
        logfile_set_limits(l, limits);
        r = make_folder(path);
        if (r >= 0)
                r = open_current(l);
        if (r >= 0)
                r = find_backups(l);
        if (r < 0)
                return r;
        if (pipe2(l->peek, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        l->base = first;
        for (unsigned i = 0; i < l->n_backups; i++)
                l->base += l->sizes[i];
        *ret = TAKE_PTR(l);
        return 0;
}

void logfile_on_rotation(Logfile *l, LogfileRotating rotating, void *userdata) {
        assert(l);

        l->rotating = rotating;
        l->userdata = userdata;
}

void logfile_set_limits(Logfile *l, const LogfileLimits *limits) {
        assert(l && limits);

        l->limits.size = MAX(limits->size, (uint64_t) LOGFILE_SIZE_MIN);
        l->limits.backups = MIN(limits->backups, LOGFILE_BACKUPS_MAX);
}

const char *logfile_path(const Logfile *l) {
        return l->path;
}

uint64_t logfile_first(const Logfile *l) {
        uint64_t first = l->base;

        for (unsigned i = 0; i < l->n_backups; i++)
                first -= l->sizes[i];
        return first;
}

uint64_t logfile_end(const Logfile *l) {
        return l->base + l->size;
}

/* --- rotation --- */

static int remove_backup(Logfile *l) {
        _cleanup_free_ char *path = backup_path(l, l->n_backups - 1);

        if (!path)
                return -ENOMEM;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        l->n_backups--;
        return 0;
}

static int shift_backups(Logfile *l) {
        for (unsigned i = l->n_backups; i > 0; i--) {
                _cleanup_free_ char *from = backup_path(l, i - 1), *to = backup_path(l, i);

                if (!from || !to)
                        return -ENOMEM;
                if (rename(from, to) < 0 && errno != ENOENT)
                        return -errno;
                l->sizes[i] = l->sizes[i - 1];
        }
        return 0;
}

/* Every step leaves files that can be read as they are; after the first rename the current one is simply empty. */
int logfile_rotate(Logfile *l) {
        _cleanup_free_ char *newest = backup_path(l, 0);
        uint64_t first;
        int r = 0;

        assert(l);

        if (!newest)
                return -ENOMEM;
        if (l->size == 0)
                return 0;
        /* One place less before, so that there is never one backup too many. */
        while (l->n_backups > 0 && l->n_backups >= l->limits.backups && r >= 0)
                r = remove_backup(l);
        first = logfile_first(l) + (l->limits.backups == 0 ? l->size : 0);
        if (r >= 0 && l->rotating)
                r = l->rotating(first, l->userdata);
        if (r < 0)
                return r;
        if (l->limits.backups == 0) {
                if (ftruncate(l->fd, 0) < 0)
                        return -errno;
                l->base += TAKE(l->size, 0);
                return 0;
        }
        r = shift_backups(l);
        if (r < 0)
                return r;
        if (rename(l->path, newest) < 0 && errno != ENOENT)
                return -errno;
        l->sizes[0] = l->size;
        l->n_backups++;
        l->base += l->size;
        return open_current(l);
}

/* --- filling --- */

static ssize_t move(Logfile *l, int pipe, size_t n) {
        loff_t offset = (loff_t) l->size;
        ssize_t moved;

        moved = splice(pipe, NULL, l->fd, &offset, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (moved < 0)
                return errno == EAGAIN ? 0 : -errno;
        l->size += (uint64_t) moved;
        return moved;
}

/* How many of the first `n` bytes of the pipe are whole lines. */
static ssize_t whole_lines(const Logfile *l, int pipe, size_t n) {
        char buffer[LOGFILE_WHOLE_LINE];
        ssize_t shown, got;
        const char *end;

        assert(n <= sizeof(buffer));

        shown = tee(pipe, l->peek[1], n, SPLICE_F_NONBLOCK);
        if (shown <= 0)
                return shown < 0 && errno != EAGAIN ? -errno : 0;
        got = read(l->peek[0], buffer, sizeof(buffer));
        if (got < 0)
                return -errno;
        end = memrchr(buffer, '\n', (size_t) got);
        return end ? end + 1 - buffer : 0;
}

static bool ends_in_line(const Logfile *l) {
        char last;

        return l->size > 0 && pread(l->fd, &last, 1, (off_t) l->size - 1) == 1 && last != '\n';
}

/* The last stretch of a file: only whole lines go there, and what does not fit makes a new file. A line longer than the stretch has
 * begun before it and is cut at the limit. */
static ssize_t fill_end(Logfile *l, int pipe, size_t available) {
        size_t room = l->limits.size > l->size ? (size_t) (l->limits.size - l->size) : 0;
        size_t n = MIN(available, room);
        ssize_t lines = n > 0 ? whole_lines(l, pipe, n) : 0;
        int r;

        if (lines != 0)
                return lines < 0 ? lines : move(l, pipe, (size_t) lines);
        if (n > 0 && ends_in_line(l))
                return move(l, pipe, n);
        r = logfile_rotate(l);
        return r;
}

ssize_t logfile_fill(Logfile *l, int pipe, size_t available, size_t max) {
        uint64_t free_zone;
        size_t n = MIN(available, max);

        assert(l && l->fd >= 0);

        if (n == 0)
                return 0;
        free_zone = l->limits.size - LOGFILE_WHOLE_LINE;
        if (l->size < free_zone)
                return move(l, pipe, (size_t) MIN((uint64_t) n, free_zone - l->size));
        return fill_end(l, pipe, n);
}

int logfile_note(Logfile *l, const char *line) {
        _cleanup_free_ char *text = strf("%s%s\n", ends_in_line(l) ? "\n" : "", line);
        ssize_t n;

        assert(l && line);

        if (!text)
                return -ENOMEM;
        n = pwrite(l->fd, text, strlen(text), (off_t) l->size);
        if (n < 0)
                return -errno;
        l->size += (uint64_t) n;
        return 0;
}

/* --- reading --- */

int logfile_seek(const Logfile *l, uint64_t *at, LogfilePlace *ret) {
        _cleanup_free_ char *path = NULL;
        uint64_t begin = l->base;
        unsigned i = 0;

        assert(l && at && ret);

        if (*at >= logfile_end(l))
                return -ENODATA;
        *at = MAX(*at, logfile_first(l));
        while (*at < begin)
                begin -= l->sizes[i++];
        path = i == 0 ? strdup(l->path) : backup_path(l, i - 1);
        if (!path)
                return -ENOMEM;
        ret->fd = i == 0 ? fcntl(l->fd, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (ret->fd < 0)
                return -errno;
        ret->offset = (off_t) (*at - begin);
        ret->length = (i == 0 ? l->size : l->sizes[i - 1]) - (*at - begin);
        return 0;
}
