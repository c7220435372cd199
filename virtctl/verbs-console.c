/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "show.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

#define ESCAPE 0x1d     /* Ctrl-] */

/* The terminal as it was; restored however we leave. */
static struct termios before;
static bool is_raw;

static void restore_terminal(void) {
        if (is_raw)
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
        is_raw = false;
}

static void on_signal(int sig) {
        restore_terminal();
        (void) signal(sig, SIG_DFL);
        (void) raise(sig);
}

static void make_raw(void) {
        static const int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
        struct termios t;

        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
                (void) signal(signals[i], on_signal);
        (void) atexit(restore_terminal);
        t = before;
        cfmakeraw(&t);
        is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &t) >= 0;
}

/* The devices of a domain that are consoles; the first in the order of names, or the one asked for. */
static int find_console(Client *c, const char *domain, const char *wanted, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *devices = NULL;
        json_t *interfaces;
        const char *path;
        int r = client_call(c, domain, DOMAIN_INTERFACE, "GetDevices", &reply, NULL);

        if (r != 0)
                return r;
        devices = value_to_json(reply);
        json_object_foreach(devices, path, interfaces) {
                const char *alias = show_text(json_object_get(interfaces, QEMU1 ".Device"), "Alias");

                if (json_object_get(interfaces, QEMU1 ".Console") && (wanted ? streq(alias, wanted) : !*ret || strcmp(path, *ret) < 0) &&
                    free_and_strdup(ret, path) < 0)
                        return client_fail("out of memory");
        }
        if (*ret)
                return 0;
        return wanted ? client_fail("there is no console %s", wanted) : client_fail("there is no console; define a <serial> or <console>");
}

/* Bytes from one side to the other. false: that side has ended, or the escape was typed. */
static bool pass(int from, int to, bool typed) {
        char buffer[4096], *end;
        ssize_t n = read(from, buffer, sizeof(buffer));

        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        end = typed && n > 0 ? memchr(buffer, ESCAPE, (size_t) n) : NULL;
        if (fd_write_all(to, buffer, end ? (size_t) (end - buffer) : (size_t) n) < 0)
                return false;
        return n > 0 && !end;
}

static void talk(int stream) {
        struct pollfd fds[] = { { .fd = stream, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
        bool typing = true;

        for (;;) {
                if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
                        return;
                if (fds[0].revents && !pass(stream, STDOUT_FILENO, false))
                        return;
                if (fds[1].revents && typing && !pass(STDIN_FILENO, stream, true)) {
                        if (isatty(STDIN_FILENO))
                                return;
                        typing = false; /* a script's input has ended; what the guest still says is wanted */
                        fds[1].fd = -1;
                }
        }
}

int verb_console(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL, *path = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        r = client_domain(c, argv[0], &domain);
        if (r == 0)
                r = find_console(c, domain, argc > 1 ? argv[1] : NULL, &path);
        if (r == 0)
                r = client_call(c, path, QEMU1 ".Console", "Open", &reply, "ta{sv}", c->force ? FLAG_FORCE : UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0) {
                fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = fd < 0 ? -errno : fd_set_nonblock(fd, false);
        }
        if (r < 0) {
                fd = -1;
                return client_garbled(r);
        }
        if (!c->quiet)
                fprintf(stderr, "Connected to %s; leave with Ctrl-].\n", argv[0]);
        make_raw();
        talk(fd);
        restore_terminal();
        if (!c->quiet)
                fprintf(stderr, "\nDisconnected.\n");
        return 0;
}

int verb_send_break(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL, *console = NULL;

        return client_domain(c, argv[0], &domain) ?: find_console(c, domain, argc > 1 ? argv[1] : NULL, &console) ?:
               client_call(c, console, QEMU1 ".Console", "SendBreak", NULL, "ta{sv}", UINT64_C(0), 0);
}
