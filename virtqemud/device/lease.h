/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* <lease>: something by a name that only one VM may have at a time, on all hosts that share its lockspace. virtlockd keeps it; QEMU only holds
 * the descriptor. Where other lock managers would keep theirs (<target>) means nothing to it. */
typedef struct Lease {
        Device device;
        char *lockspace, *key;
        char *path;
        uint64_t offset;
} Lease;

/* NULL if it is something else. */
const Lease *device_as_lease(const Device *d);
