/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fdstore.h"

#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

/* What systemd calls descriptors that are no ones of the store: its sockets, by the name of their unit. */
#define SOCKET_SUFFIX ".socket"

static struct {
        char **names;          /* of the descriptors, as sd_listen_fds_with_names() gives them; taken ones are empty */
        int n;
} received;

static int fd_of(int i) {
        return SD_LISTEN_FDS_START + i;
}

static bool is_stored(int i) {
        return received.names[i][0] && !str_ends(received.names[i], SOCKET_SUFFIX);
}

int fdstore_open(void) {
        assert(!received.names);

        /* The variables stay: who looks for sockets comes later. */
        received.n = sd_listen_fds_with_names(false, &received.names);
        return received.n < 0 ? received.n : 0;
}

int fdstore_take(const char *name) {
        assert(name);

        for (int i = 0; i < received.n; i++)
                if (is_stored(i) && streq(received.names[i], name)) {
                        received.names[i][0] = '\0';
                        return fd_of(i);
                }
        return -ENOENT;
}

int fdstore_take_next(const char *prefix, char **ret_name) {
        assert(prefix && ret_name);

        for (int i = 0; i < received.n; i++) {
                const char *rest = is_stored(i) ? str_after(received.names[i], prefix) : NULL;

                if (!rest)
                        continue;
                *ret_name = strdup(rest);
                if (!*ret_name)
                        return -ENOMEM;
                received.names[i][0] = '\0';
                return fd_of(i);
        }
        return -ENOENT;
}

int fdstore_keep(const char *name, int fd) {
        _cleanup_free_ char *state = NULL;

        assert(name && fd >= 0);

        fdstore_drop(name);
        /* Not polled: a terminal nobody has open at the moment looks as if it were hung up. */
        state = strf("FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        return state ? sd_pid_notify_with_fds(0, false, state, &fd, 1) : -ENOMEM;
}

void fdstore_drop(const char *name) {
        assert(name);

        (void) sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void fdstore_close(void) {
        for (int i = 0; i < received.n; i++) {
                if (is_stored(i)) {
                        fdstore_drop(received.names[i]);
                        fd_close(fd_of(i));
                }
                free(received.names[i]);
        }
        free(received.names);
        received.names = NULL;
        received.n = 0;
}
