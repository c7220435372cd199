/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "verbs.h"

#define SCREEN_INTERFACE QEMU1 ".Screen"

/* From the beginning, wherever the descriptor stands. */
static int copy_file(int from, int to) {
        char buffer[65536];
        off_t at = 0;
        ssize_t n;
        int r = 0;

        while (r >= 0 && (n = pread(from, buffer, sizeof(buffer), at)) > 0) {
                r = fd_write_all(to, buffer, (size_t) n);
                at += n;
        }
        return r < 0 ? r : n < 0 ? -errno : 0;
}

/* The file is made when there is something to put into it. */
static int write_picture(const char *file, int picture) {
        _cleanup_fd_ int fd = streq(file, "-") ? fd_copy(STDOUT_FILENO) : open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        int r = fd < 0 ? -errno : copy_file(picture, fd);

        return r < 0 ? client_fail("%s: %s", file, strerror(-r)) : 0;
}

int verb_screenshot(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        uint32_t screen = 0;
        int fd, r;

        if (argc > 2 && parse_u32(argv[2], &screen) < 0)
                return client_fail("\"%s\" is no number of a screen", argv[2]);
        r = client_domain(c, argv[0], &domain);
        if (r == 0)
                r = client_call(c, domain, SCREEN_INTERFACE, "Screenshot", &reply, "uta{sv}", screen, UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "h", &fd);
        return r < 0 ? client_garbled(r) : write_picture(argv[1], fd);
}

int verb_dump(Client *c, int argc, char **argv) {
        _cleanup_fd_ int fd = streq(argv[1], "-") ? fd_copy(STDOUT_FILENO) : open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        const char *job;
        int r;

        if (fd < 0)
                return client_fail("%s: %s", argv[1], strerror(errno));
        r = client_domain(c, argv[0], &domain);
        if (r == 0)
                r = client_call(c, domain, DOMAIN_INTERFACE, "CoreDump", &reply, "shta{sv}", argc > 2 ? argv[2] : "", fd, UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "o", &job);
        return r < 0 ? client_garbled(r) : client_wait_job(c, job);
}

int verb_send_key(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *domain = NULL;
        int r = client_domain(c, argv[0], &domain);

        if (r == 0)
                r = client_new_call(c, &m, domain, SCREEN_INTERFACE, "SendKeyNames");
        if (r != 0)
                return r;
        if (sd_bus_message_append_strv(m, argv + 1) < 0 || sd_bus_message_append(m, "uta{sv}", UINT32_C(0), UINT64_C(0), 0) < 0)
                return client_fail("the keys can't be sent");
        return client_send(c, TAKE_PTR(m), NULL);
}
