/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/device-def.h"
#include "fault.h"

/* A program that stands beside QEMU for a device, with the other end of a socket as its standard input: passt, swtpm, virtiofsd,
 * qemu-nbd, and our own virtqemu-hostdev and virtqemu-relay. */
typedef struct Companion {
        const char *name;            /* "passt" */
        const char *package;         /* what to install */
        const char *helper, *helper_package; /* another program that it needs, or NULL */
        const char *title;           /* "User Network" */
        const char *lost;            /* what is wrong without it: "has no network any more" */
        char **argv;
        bool listens;                /* its end is a listening socket, */
        bool by_many;                /* to which QEMU connects when it likes, by PLAN_FD_SOCKET; */
        bool by_activation;          /* which it takes as systemd gives it to services */
        bool greets;                 /* it says the first word, once it can do what it is for; */
        FaultKind explains;          /* to us: an empty line, or why it can't, which is of that kind. QEMU only holds the connection */
        bool lends;                  /* with that comes a descriptor, which QEMU gets in the place of its end; then it has nothing more to do */
        bool connects;               /* to a socket of QEMU's, which is the first thing that comes over its standard input */
        bool needs_user;             /* its last argument is to be the number of the VM's user, with `lends` also of that one's group: UID:GID */
        char **files;                /* the device files it makes usable, also by their class: "char-vfio" */
        uint64_t privileges;         /* it is root, with these capabilities alone (bits of CAP_…), and confines itself; 0: it is not */
        bool any_file;               /* of root's rights it needs that to any file, and no other */
        bool confined;               /* it does with sockets and files what every program can, and no more */
        bool has_network;
        char **sees;                 /* of the host's files it sees these, whoever's they are, programs, and nothing else: a path, and where it finds it, … */
        bool moved;                  /* the two differ */
} Companion;

void companion_clear(Companion *c);
/* Appends to `sees`. -ENOMEM. */
int companion_show(Companion *c, const char *path, const char *as);

/* virtqemu-hostdev for a device of the host, or for a file that QEMU opens by itself. -ENOMEM. */
int companion_hostdev(Companion *c, const char *kind, const char *name, bool managed);
/* Likewise for one that QEMU drives through VFIO. */
int companion_vfio(Companion *c, const char *kind, const char *name, bool managed);
