/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtqemud/plan/domain.h"
#include "str.h"
#include "xml-write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted comes back from its own text as the same definition. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const DomainDefaults defaults = { .emulator = "/usr/bin/qemu-system-x86_64", .arch = "x86_64", .nvram_folder = "/nvram" };
        _cleanup_(domain_def_freep) DomainDef *def = NULL, *again = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;

        if (domain_parse((const char *) data, size, &def, &f) < 0)
                return 0;
        domain_drop_live(def);
        if (domain_fill(def, &defaults, &f) < 0 || domain_check(def, NULL, &defaults, &f) < 0)
                return 0;
        if (domain_format(def, XML_WRITE_SECRETS, &text, &f) < 0 || domain_parse(text, strlen(text), &again, &f) < 0 ||
            !record_equal(&def->head, &again->head))
                abort();
        return 0;
}
