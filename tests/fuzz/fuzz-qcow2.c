/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *problem = NULL;
        Qcow2Header h = {};

        if (qcow2_parse(data, size, &h, &problem) == -EBADMSG && !problem)
                abort();
        if ((h.backing && strlen(h.backing) > size) || (h.backing_format && strlen(h.backing_format) > size))
                abort();
        qcow2_clear(&h);
        return 0;
}
