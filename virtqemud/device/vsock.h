/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* <vsock>: sockets between guest and host that need no network; the guest is known by its number, the CID. */
typedef struct Vsock {
        Device device;
        int model;
        uint64_t cid;            /* NUMBER_UNSET: to be chosen */
        Tristate automatic;      /* chosen anew at each start */
} Vsock;

#define VSOCK_CID_MIN 3u

Vsock *domain_find_vsock(const DomainDef *def);
/* Whether the number is for us to choose when the domain starts. */
bool vsock_is_automatic(const Vsock *v);
