/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/* A guest's connection, mostly to a bridge: a tap, which is there as long as somebody has a descriptor of it. */
#define PORT_QUEUES_MAX 16u

typedef struct PortSpec {
        const char *bridge;          /* NULL: none */
        const char *name;            /* of the tap; NULL: the next that is free */
        bool existing;               /* it is there, and stays as it is and when nobody has it any more */
        bool quiet;                  /* the host says nothing on it; so it is on a bridge */
        MacAddress mac;              /* the guest's; unset: the tap's is by chance */
        uint32_t queues;             /* descriptors */
        uint64_t mtu;                /* NUMBER_UNSET: as the bridge has it */
        bool isolated;               /* from other isolated ports of the bridge */
        uint32_t coalesce;           /* so many frames from the guest are taken together; 0: as the kernel does */
        bool fixed;                  /* the bridge is told who is there, and learns nothing from what comes in */
        const char *domain;          /* whose it is, for people; or NULL */
} PortSpec;

/* The name goes into a buffer of IFNAMSIZ bytes, as many descriptors as queues into `fds`. FAULT_NETWORK. */
int port_open(Links *l, const PortSpec *spec, char *ret_name, int *fds, Fault *f);

/* `name` is a tap that port_open() has made, and that has lost its bridge. FAULT_INVALID_STATE: it has one; FAULT_NETWORK. */
int port_reconnect(Links *l, const PortSpec *spec, Fault *f);

/* Limits and VLANs of a port that was opened. `bridge` NULL: it is a macvtap, which is on none. */
int port_set_up(Links *l, const char *name, const char *bridge, const PortSettings *s, Fault *f);
void port_close(int *fds, uint32_t n);

/* Names of what is on a bridge. -ENOENT: there is none of that name. */
int port_list(const char *bridge, char ***ret);
