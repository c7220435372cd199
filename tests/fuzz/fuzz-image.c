/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtstoraged/worker/image-info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input {
        const uint8_t *data;
        size_t size;
} Input;

static long read_input(void *data, size_t length, uint64_t offset, void *userdata) {
        const Input *in = userdata;
        size_t n = offset >= in->size ? 0 : MIN(length, in->size - (size_t) offset);

        memcpy(data, in->data + (n > 0 ? offset : 0), n);
        return (long) n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Input in = { data, size };
        const ImageReader reader = { .read = read_input, .size = size, .userdata = &in };

        for (VolumeFormat format = FORMAT_RAW; format < _VOLUME_FORMAT_MAX; format++) {
                _cleanup_image_info_ ImageInfo info = {};
                const char *problem = NULL;

                if (image_info_read(&reader, format, &info, &problem) == -EBADMSG ? !problem : info.capacity > INT64_MAX)
                        abort();
        }
        (void) image_info_guess(&reader);
        return 0;
}
