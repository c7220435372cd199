/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../pool/pool.h"
#include "volume-file.h"

/* Pools whose volumes are made and found by programs (LVM, ZFS, partitions), or by the kernel (SCSI). Everything here may block. */

/* What commands read that need the pool's secret; stays the caller's. */
void commands_set_secret(const void *data, size_t length);
/* Runs them one after the other; what each has printed goes to `outputs`, ending in NULL, if that is wanted. */
int commands_run(const PoolDef *def, const Commands *c, char ***outputs, Fault *f);

bool command_pool_is_active(const PoolDef *def);
/* Programs of ops->start, unless it is active. */
int command_pool_start(const PoolDef *def, Fault *f);
int command_pool_stop(const PoolDef *def, Fault *f);

/* Everything that is in it now. */
int command_pool_scan(const PoolDef *def, PoolInfo *ret, Fault *f);

/* `all` is how the pool is afterwards. */
int command_pool_create(const PoolDef *def, const VolumeOrder *o, PoolInfo *all, Fault *f);
int command_pool_remove(const PoolDef *def, const char *name, PoolInfo *all, Fault *f);
int command_pool_resize(const PoolDef *def, const char *name, uint64_t capacity, PoolInfo *all, Fault *f);
/* Its device. */
int command_pool_open(const PoolDef *def, const char *name, bool writable, Fault *f);

/* What could become a pool. */
int command_pool_find(const PoolDef *hints, RecordList *ret, Fault *f);
