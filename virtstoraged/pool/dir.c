/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

/* A folder. */
const PoolOps pool_dir = {
        .type = POOL_DIR, .needs = ELEMENT_PATH, .knows = ELEMENT_COW, .scan = SCAN_FOLDER, .volumes = VOLUME_FILE, .any_user = true,
};
