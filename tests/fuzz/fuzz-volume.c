/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtstoraged/plan/qemu-img.h"
#include "../../virtstoraged/plan/storage.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char text[] = "<pool type='dir'><name>p</name><target><path>/pool</path></target></pool>";
        static PoolDef *pool;
        _cleanup_(volume_def_freep) VolumeDef *def = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        char **argv;
        size_t n;

        if (!pool && pool_parse(text, sizeof(text) - 1, &pool, NULL) < 0)
                abort();
        if (volume_parse((const char *) data, size, &def, &f) < 0 || volume_complete(pool, def, &f) < 0)
                return 0;
        if (qemu_img_create(def, "/part", PREALLOCATION_OFF, def->secrets.n > 0 ? QEMU_IMG_SECRET : NULL, &argv) < 0)
                abort();
        n = strv_length(argv);
        /* The path is where it was put, whatever else there is. */
        if (!streq(argv[n - 1], "/part") && !streq(argv[n - 2], "/part"))
                abort();
        strv_free(argv);
        return 0;
}
