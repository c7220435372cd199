/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../pool/pool.h"

/* What the kernel knows of disks: units of a SCSI host, of an iSCSI session, and multipath maps. */

int scsi_scan(const PoolDef *def, PoolInfo *ret, Fault *f);
int mpath_scan(const PoolDef *def, PoolInfo *ret, Fault *f);
