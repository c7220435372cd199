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
#include "sdbus.h"
#include "store.h"
#include "str.h"

#define LAST_WORDS_MAX 1024
#define SYNC_TIMEOUT_USEC (2u * 1000 * 1000)
#define LOG_SIZE_MAX (2 * 1024 * 1024)

static char *log_folder(const Domain *d) {
        _cleanup_free_ char *name = store_escape(d->name);

        return name ? strf("%s/qemu/%s", d->manager->dirs.log, name) : NULL;
}

static char *log_path(const Domain *d, const char *name) {
        _cleanup_free_ char *folder = log_folder(d);

        return folder ? strf("%s/%s.log", folder, name) : NULL;
}

void qemu_log_by_daemon(Domain *d) {
        _cleanup_free_ char *path = log_path(d, QEMU_LOG_NAME);
        struct stat st;

        assert(d && d->instance);

        d->instance->log_by_daemon = true;
        d->instance->log_start = path && stat(path, &st) >= 0 ? st.st_size : 0;
}

int qemu_log_open_file(Domain *d, const char *name) {
        _cleanup_free_ char *path = log_path(d, name), *folder = log_folder(d), *old = NULL;
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
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (streq(name, QEMU_LOG_NAME))
                d->instance->log_start = st.st_size;
        return TAKE_FD(fd);
}

int qemu_log_sync(const Domain *d, sd_bus_message_handler_t written, void *userdata, sd_bus_slot **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = d->manager->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, "org.virtbus.log1", "/org/virtbus/log1", "org.virtbus.log1.Manager", "Read");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', &d->uuid, sizeof(d->uuid));
        if (r >= 0)
                r = sd_bus_message_append(m, "stt", QEMU_LOG_NAME, UINT64_C(0), UINT64_C(0));
        return r < 0 ? r : sd_bus_call_async(bus, ret, m, written, userdata, SYNC_TIMEOUT_USEC);
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
        _cleanup_free_ char *path = log_path(d, QEMU_LOG_NAME), *text = new0(char, LAST_WORDS_MAX + 1);
        _cleanup_fd_ int fd = -1;
        struct stat st;
        off_t from;

        if (!path || !text || !d->instance)
                return NULL;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        from = st.st_size < d->instance->log_start ? 0 : d->instance->log_start; /* it was rotated */
        from = MAX(from, st.st_size - LAST_WORDS_MAX);
        if (pread(fd, text, LAST_WORDS_MAX, from) <= 0)
                return NULL;
        return join_lines(text);
}
