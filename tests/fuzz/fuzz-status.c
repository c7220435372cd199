/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted has what adoption relies on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_status_ Status s = {};
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (status_parse((const char *) data, size, &s, &f) < 0) {
                if (!f.message)
                        abort();
        } else if (!s.name || sd_id128_is_null(s.uuid) || s.state < 0 || s.reason < 0 || s.supervisor_pid < 0)
                abort();
        return 0;
}
