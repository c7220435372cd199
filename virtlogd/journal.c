/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

#define SOCKET "/run/systemd/journal/socket"

struct Journal {
        int fd;
};

int journal_new(Journal **ret) {
        Journal *j = new0(Journal, 1);

        assert(ret);

        if (!j)
                return -ENOMEM;
        j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (j->fd < 0) {
                free(j);
                return -errno;
        }
        *ret = j;
        return 0;
}

Journal *journal_free(Journal *j) {
        if (j)
                fd_close(j->fd);
        free(j);
        return NULL;
}

static void add(Text *t, const char *field, const char *value) {
        if (value && !strchr(value, '\n'))
                text_addf(t, "%s=%s\n", field, value);
}

/* Escape sequences and the like are for the guest's own terminal. UTF-8 passes; what is none is made plain. */
static void add_safe(Text *t, const char *line, size_t length) {
        _cleanup_free_ char *copy = strndup(line, length);

        if (!copy) {
                t->failed = true;
                return;
        }
        bool utf8 = strlen(copy) == length && is_utf8(copy);

        for (size_t i = 0; i < length; i++) {
                unsigned char c = (unsigned char) line[i];
                char shown = (c < 0x20 && c != '\t') || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : (char) c;

                text_addn(t, &shown, 1);
        }
}

/* The journal's native protocol: FIELD=value and a line break, as one datagram. */
int journal_line(Journal *j, const JournalSource *from, const char *line, size_t length) {
        static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SOCKET };
        _cleanup_text_ Text t = TEXT_INIT;

        assert(j && from && line);

        while (length > 0 && line[length - 1] == '\r')
                length--;
        text_add(&t, "PRIORITY=6\nSYSLOG_IDENTIFIER=virtlogd\n");
        add(&t, "VIRTBUS_DOMAIN", from->domain);
        add(&t, "VIRTBUS_DOMAIN_UUID", from->uuid);
        add(&t, "VIRTBUS_LOG", from->log);
        /* What `journalctl -u UNIT` looks for in lines that others write about a unit. */
        add(&t, from->user ? "OBJECT_SYSTEMD_USER_UNIT" : "OBJECT_SYSTEMD_UNIT", from->unit);
        text_add(&t, "MESSAGE=");
        add_safe(&t, line, MIN(length, (size_t) JOURNAL_LINE_MAX));
        text_add(&t, "\n");
        if (t.failed)
                return 0;
        if (sendto(j->fd, t.data, t.length, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *) &address, sizeof(address)) >= 0)
                return 1;
        return errno == ENOENT || errno == ECONNREFUSED; /* no journal here: nothing to be missed in */
}
