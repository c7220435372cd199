/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtlogd/log-state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted can be a file's name and has sane limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        GuestlogSpec spec = {};
        json_t *owner = NULL;
        uint64_t first = 0;
        bool open;

        if (log_state_parse((const char *) data, size, &spec, &first, &open, &owner) >= 0 &&
            (!spec.domain || !*spec.domain || !spec.name || strchr(spec.name, '/') || strlen(spec.name) > LOG_NAME_MAX ||
             spec.limits.size > INT64_MAX || first > INT64_MAX))
                abort();
        json_decref(owner);
        return 0;
}
