/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

/* What libvirt knows, and nobody can use any more. */

const PoolOps pool_sheepdog = {
        .type = POOL_SHEEPDOG, .refused = "Sheepdog is not developed any more, and QEMU has removed its driver in 6.1",
};

const PoolOps pool_vstorage = {
        .type = POOL_VSTORAGE, .refused = "Virtuozzo Storage has no client outside of Virtuozzo's own, discontinued distribution",
};
