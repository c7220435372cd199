/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every kind of pool: POOL(variable of its file). */
POOL(pool_dir)
POOL(pool_disk)
POOL(pool_fs)
POOL(pool_gluster)
POOL(pool_iscsi)
POOL(pool_iscsi_direct)
POOL(pool_logical)
POOL(pool_mpath)
POOL(pool_netfs)
POOL(pool_rbd)
POOL(pool_scsi)
POOL(pool_sheepdog)
POOL(pool_vstorage)
POOL(pool_zfs)
