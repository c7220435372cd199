/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../pool/pool.h"

/* An iSCSI target without the host's kernel: what units it has, which QEMU opens by itself. `password` is that of CHAP. */

int iscsi_direct_scan(const PoolDef *def, const void *password, size_t length, PoolInfo *ret, Fault *f);
/* Targets of the server that is the first host. */
int iscsi_direct_find(const PoolDef *hints, RecordList *ret, Fault *f);
