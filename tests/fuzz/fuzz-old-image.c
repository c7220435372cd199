/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "old-image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const formats[] = { "vmdk", "qed", "qcow" };

        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
                const char *problem = NULL;
                uint64_t capacity = 0;
                int r = old_image_parse(formats[i], data, size, &capacity, &problem);

                if (capacity > INT64_MAX || (r < 0 && !problem))
                        abort();
        }
        return 0;
}
