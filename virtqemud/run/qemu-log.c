/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "instance.h"
#include "manager.h"
#include "mem.h"
#include "store.h"
#include "str.h"

#define LAST_WORDS_MAX 1024
#define LOG_SIZE_MAX (2 * 1024 * 1024)

static char *log_path(const Domain *d) {
        _cleanup_free_ char *file = store_escape(d->name);

        return file ? strf("%s/qemu/%s.log", d->manager->dirs.log, file) : NULL;
}

int qemu_log_open(Domain *d) {
        _cleanup_free_ char *path = log_path(d), *folder = strf("%s/qemu", d->manager->dirs.log), *old = NULL;
        _cleanup_fd_ int fd = -1;
        struct stat st;
        int r;

        assert(d && d->instance);

        if (!path || !folder)
                return -ENOMEM;
        r = mkdir_parents(folder, 0700);
        if (r < 0)
                return r;
        if (stat(path, &st) >= 0 && st.st_size > LOG_SIZE_MAX) {
                old = strf("%s.0", path);
                if (!old)
                        return -ENOMEM;
                (void) rename(path, old);
        }
        fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        d->instance->log_start = st.st_size;
        return TAKE_FD(fd);
}

/* Lines joined by "; ", the time stamps QEMU puts in front left out. */
static char *join_lines(char *text) {
        Text t = TEXT_INIT;
        char *line, *rest = text;

        while ((line = strsep(&rest, "\n"))) {
                const char *after = strchr(line, 'Z'); /* 2026-01-02T03:04:05.678901Z qemu-system-x86_64: … */

                if (after && after - line == 27 && after[1] == ' ')
                        line = (char *) after + 2;
                if (!*line)
                        continue;
                for (char *p = line; *p; p++)
                        if ((unsigned char) *p < 0x20)
                                *p = ' ';
                text_addf(&t, "%s%s", t.length > 0 ? "; " : "", line);
        }
        return t.length > 0 ? text_finish(&t) : NULL;
}

char *qemu_log_last_words(const Domain *d) {
        _cleanup_free_ char *path = log_path(d), *text = new0(char, LAST_WORDS_MAX + 1);
        _cleanup_fd_ int fd = -1;
        struct stat st;
        off_t from;

        if (!path || !text || !d->instance)
                return NULL;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        from = MAX(d->instance->log_start, st.st_size - LAST_WORDS_MAX);
        if (pread(fd, text, LAST_WORDS_MAX, from) <= 0)
                return NULL;
        return join_lines(text);
}
