/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtlogd/service.h"
#include "daemon-calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const CallsTarget target = {
        .spec = &service_spec,
        .words = { "web", "serial0", "qemu", "max-size", "max-backups", "journal", "unit", "virtqemu@web.service" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        calls_run(&target, data, size);
        return 0;
}
