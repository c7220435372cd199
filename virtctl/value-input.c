/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "value-input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client.h"
#include "fd.h"
#include "str.h"

#define VALUE_MAX ((size_t) 64 * 1024)

void value_input_clear(ValueInput *v) {
        if (v->data)
                explicit_bzero(v->data, v->length);
        free(v->data);
}

static volatile sig_atomic_t ended_by;

static void on_end(int sig) {
        ended_by = sig;
}

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* A terminal gives whole lines. Signals come here and nowhere else, so that none is missed. */
static bool wait_for_line(const sigset_t *usual) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

        while (!ended_by)
                if (ppoll(&p, 1, NULL, usual) >= 0)
                        return true;
        return false;
}

/* What is typed is not shown, and the terminal is as before even if somebody gives up. */
static ssize_t ask(const char *what, char **line) {
        const struct sigaction catch = { .sa_handler = on_end };
        struct sigaction before[ARRAY_SIZE(ends)];
        struct termios usual, silent;
        sigset_t held, mask;
        size_t size = 0;
        ssize_t n;

        if (tcgetattr(STDIN_FILENO, &usual) < 0)
                return getline(line, &size, stdin);
        (void) sigemptyset(&held);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                (void) sigaddset(&held, ends[i]);
        (void) sigprocmask(SIG_BLOCK, &held, &mask);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                (void) sigaction(ends[i], &catch, &before[i]);
        silent = usual;
        silent.c_lflag = (silent.c_lflag & ~(tcflag_t) ECHO) | ECHONL;
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fprintf(stderr, "%s: ", what);
        n = wait_for_line(&mask) ? getline(line, &size, stdin) : -1;
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                (void) sigaction(ends[i], &before[i], NULL);
        (void) sigprocmask(SIG_SETMASK, &mask, NULL);
        if (ended_by)
                (void) raise(ended_by);
        return n;
}

/* One line, whose end does not belong to it. */
static int read_line(const char *what, ValueInput *ret) {
        ssize_t n = ask(what, &ret->data);

        if (n < 0)
                return client_fail("no value came from standard input");
        ret->length = (size_t) n;
        if (n > 0 && ret->data[n - 1] == '\n')
                ret->length--;
        return 0;
}

/* All there is, byte by byte. */
static int read_whole(const char *file, ValueInput *ret) {
        _cleanup_fd_ int fd = streq(file, "-") ? fd_copy(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int r = fd < 0 ? -errno : fd_read_all(fd, VALUE_MAX, &ret->data, &ret->length);

        if (r == -EFBIG)
                return client_fail("%s: larger than %zu bytes", file, VALUE_MAX);
        return r < 0 ? client_fail("%s: %s", file, strerror(-r)) : 0;
}

int value_input_read(const char *what, const char *file, ValueInput *ret) {
        return file ? read_whole(file, ret) : read_line(what, ret);
}
