/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "netaddr.h"

/* The end of a relay that is not QEMU's: somebody who listens, the other one of two who exchange datagrams, or two FIFOs. */
typedef enum OutsideKind { OUTSIDE_TCP, OUTSIDE_UNIX, OUTSIDE_UDP, OUTSIDE_PIPE } OutsideKind;

typedef struct Outside {
        OutsideKind kind;
        IpAddress ours, theirs;      /* udp: both; tcp: the latter */
        uint16_t our_port, their_port;
        const char *path;            /* unix, pipe */
        int in, out;                 /* non-blocking; of a socket and of a FIFO that is alone they are the same. -1: not open */
        bool unread;                 /* a FIFO that is alone has bytes of ours in it */
} Outside;
#define OUTSIDE_INIT ((Outside) { .in = -1, .out = -1 })

/* The most that outside_read() gives at once. */
#define OUTSIDE_READ_MAX 65536u

/* 0: it is open; 1: it is being connected to, and can be written to when that has an end. Negative errno: nobody is there, or what is
 * there can't be used. */
int outside_open(Outside *o);
/* Whether that end is a connection. */
int outside_connected(const Outside *o);
void outside_close(Outside *o);

/* Whether it is one that ends, and is there again later. */
static inline bool outside_comes_and_goes(const Outside *o) {
        return o->kind == OUTSIDE_TCP || o->kind == OUTSIDE_UNIX;
}

/* Whether what can be read is not our own. */
bool outside_may_read(Outside *o);
/* Bytes that came; 0: it has ended. -EAGAIN: nothing is there. `size` is OUTSIDE_READ_MAX, so that no datagram is cut. */
ssize_t outside_read(Outside *o, void *data, size_t size);
/* Bytes that were taken, or that nobody will ever take. -EAGAIN: it is full. */
ssize_t outside_write(Outside *o, const void *data, size_t length);
