/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every kind of pool: POOL(variable of its file). */
POOL(pool_dir)
POOL(pool_fs)
POOL(pool_netfs)
POOL(pool_sheepdog)
POOL(pool_vstorage)
