/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>

#include "conf-rows.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal says why and where, and what is taken is within its limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Target t = { .number = 3 };
        _cleanup_free_ char *text = strndup((const char *) data, size);

        if (conf_parse("fuzz.conf", text, rows, ARRAY_SIZE(rows), &t, &f) < 0 && (!f.message || !strstr(f.message, "fuzz.conf")))
                abort();
        if (t.number < 3 || t.number > 1000 || t.bytes > UINT64_C(1) << 60 || t.word < 0 || t.word > 1 || (t.path && t.path[0] != '/'))
                abort();
        target_clear(&t);
        return 0;
}
