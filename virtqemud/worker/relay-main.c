/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* virtqemu-relay KIND …: carries bytes between a character device of QEMU, which has descriptors and nothing else, and somebody
 * outside.
 *   tcp ADDRESS PORT SECONDS          who listens there; when nobody does, or they have hung up, it is tried again after so long
 *   unix PATH SECONDS                 likewise
 *   udp ADDRESS PORT ADDRESS PORT     datagrams between ours, whose port may be 0, which is any, and theirs
 *   pipe PATH                         into the FIFO PATH.out, and out of PATH.in; or PATH is both
 * Standard input is a socket whose other end QEMU holds and nobody writes into, but for one message that is there from the start: a
 * descriptor of the socket that QEMU listens at. QEMU is connected to while somebody is there outside, so that the guest sees them
 * come and go. An empty line goes into standard input when all is well, else the reason why it is not; its end is the VM's, or that of
 * the device in it. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "greeting.h"
#include "mem.h"
#include "relay.h"
#include "str.h"

#define RETRY_MAX_SEC 86400u
#define PORT_PATIENCE_MSEC 2000
#define PORT_STEP_MSEC 50

static _noreturn_ void usage(void) {
        fprintf(stderr, "Usage: virtqemu-relay tcp ADDRESS PORT SECONDS | unix PATH SECONDS | udp ADDRESS PORT ADDRESS PORT | "
                        "pipe PATH\n");
        exit(EXIT_FAILURE);
}

static void read_address(char **words, IpAddress *ret_ip, uint16_t *ret_port) {
        uint32_t port;

        if (ip_from_text(words[0], ret_ip) < 0 || parse_u32(words[1], &port) < 0 || port > UINT16_MAX)
                usage();
        *ret_port = (uint16_t) port;
}

static unsigned read_seconds(const char *word) {
        uint32_t seconds;

        if (parse_u32(word, &seconds) < 0 || seconds == 0 || seconds > RETRY_MAX_SEC)
                usage();
        return seconds;
}

static char *read_path(char *word) {
        if (word[0] != '/')
                usage();
        return word;
}

static int their_words(const Outside *o) {
        return o->kind == OUTSIDE_UDP ? 4 : 2;
}

static void read_arguments(int argc, char **argv, Outside *o, unsigned *ret_retry) {
        static const struct {
                const char *word;
                int argc;
        } kinds[] = {
                [OUTSIDE_TCP] = { "tcp", 5 }, [OUTSIDE_UNIX] = { "unix", 4 }, [OUTSIDE_UDP] = { "udp", 6 }, [OUTSIDE_PIPE] = { "pipe", 3 },
        };
        size_t kind = 0;

        while (kind < ARRAY_SIZE(kinds) && (argc != kinds[kind].argc || !streq(argv[1], kinds[kind].word)))
                kind++;
        if (kind == ARRAY_SIZE(kinds))
                usage();
        *o = OUTSIDE_INIT;
        o->kind = (OutsideKind) kind;
        if (o->kind == OUTSIDE_UNIX || o->kind == OUTSIDE_PIPE)
                o->path = read_path(argv[2]);
        if (o->kind == OUTSIDE_UDP)
                read_address(argv + 2, &o->ours, &o->our_port);
        if (o->kind == OUTSIDE_TCP || o->kind == OUTSIDE_UDP)
                read_address(argv + their_words(o), &o->theirs, &o->their_port);
        if (outside_comes_and_goes(o))
                *ret_retry = read_seconds(argv[argc - 1]);
}

/* The descriptor that has been waiting for us. */
static int receive_place(void) {
        size_t n = 1;
        char byte;
        int fd;

        if (fd_receive(STDIN_FILENO, &byte, sizeof(byte), &fd, &n) <= 0 || n != 1) {
                fprintf(stderr, "There is no socket of QEMU's in standard input.\n");
                exit(EXIT_FAILURE);
        }
        return fd;
}

static void open_outside(Outside *o, char **argv) {
        int r = outside_open(o);

        /* That of the run before may be about to end. */
        for (unsigned i = 0; i < PORT_PATIENCE_MSEC / PORT_STEP_MSEC && r == -EADDRINUSE; i++) {
                (void) poll(NULL, 0, PORT_STEP_MSEC);
                r = outside_open(o);
        }
        if (r >= 0)
                return;
        if (o->kind == OUTSIDE_UDP)
                give_up("no UDP socket for %s port %s to %s port %s: %s", argv[2], argv[3], argv[4], argv[5], strerror(-r));
        if (r == -ENOENT)
                give_up("there is no FIFO %s.in and %s.out: make them by mkfifo", o->path, o->path);
        if (r == -ENOTSUP)
                give_up("%s.in, %s.out or %s is no FIFO", o->path, o->path, o->path);
        give_up("the FIFO %s can't be opened: %s", o->path, strerror(-r));
}

int main(int argc, char **argv) {
        _cleanup_free_ char *name = NULL;
        char **theirs;
        Outside outside;
        RelaySpec spec = { .outside = &outside, .life = STDIN_FILENO };

        read_arguments(argc, argv, &outside, &spec.retry_sec);
        /* Its end is the VM's, whose last words it has to carry. */
        (void) signal(SIGTERM, SIG_IGN);
        (void) signal(SIGPIPE, SIG_IGN);
        spec.place = receive_place();
        if (!outside_comes_and_goes(&outside))
                open_outside(&outside, argv);
        theirs = argv + their_words(&outside);
        name = outside.path ? strdup(outside.path) : strf("%s port %s", theirs[0], theirs[1]);
        if (!name)
                give_up("out of memory");
        spec.name = name;
        greet();
        relay_run(&spec);
        outside_close(&outside);
        return EXIT_SUCCESS;
}
