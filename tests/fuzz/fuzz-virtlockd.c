/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtlockd/service.h"
#include "daemon-calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing but lockspaces that are known: who has what is in files, which only the worker touches. */
static const CallsTarget target = {
        .spec = &service_spec,
        .files = { { "data/virtbus/lockspaces/shared.json", "{\"path\":\"/nonexistent/leases\"}" } },
        .words = { "default", "shared", "/nonexistent/leases", "exclusive", "shared", "web", "/srv/web.img", "unit", "virtqemu@web.service", "description" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        calls_run(&target, data, size);
        return 0;
}
