/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "../../virtstoraged/plan/storage.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(secret_def_freep) SecretDef *def = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (secret_parse((const char *) data, size, &def, &f) < 0)
                return 0;
        /* Whatever is for something says for what. */
        if (def->usage != USAGE_NONE && !secret_usage_id(def))
                abort();
        if (secret_format(def, &text, &f) < 0)
                abort();
        return 0;
}
