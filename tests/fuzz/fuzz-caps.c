/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>

#include "caps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted from the cache comes back from there as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(caps_freep) QemuCaps *caps = NULL, *again = NULL, *filled = caps_new();
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_t *json = json_loadb((const char *) data, size, JSON_DECODE_ANY, NULL), *out, *second;

        (void) caps_take_machines(filled, json, NULL);
        (void) caps_take_cpus(filled, json, false, NULL);
        (void) caps_take_names(&filled->devices, json, "chardev-", NULL);
        if (caps_from_json(json, &caps, &f) >= 0) {
                (void) caps_machine_near(caps, "pc-q35-99");
                (void) caps_machine(caps, NULL);
                out = caps_to_json(caps);
                if (caps_from_json(out, &again, NULL) < 0)
                        abort();
                second = caps_to_json(again);
                if (!json_equal(out, second))
                        abort();
                json_decref(second);
                json_decref(out);
        }
        json_decref(json);
        return 0;
}
