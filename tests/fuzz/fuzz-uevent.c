/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../virtqemud/run/uevents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is found lies within the message, each part with its end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *parts[3];
        char *copy = malloc(size ?: 1);

        if (copy)
                memcpy(copy, data, size);
        if (copy && uevent_parse(copy, size, &parts[0], &parts[1], &parts[2]) >= 0)
                for (size_t i = 0; i < 3; i++)
                        if (parts[i] < copy || parts[i] + strlen(parts[i]) >= copy + size)
                                abort();
        free(copy);
        return 0;
}
