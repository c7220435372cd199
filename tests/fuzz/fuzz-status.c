/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "events.h"
#include "status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Events that are taken up can be written down again. */
static void take_up(const json_t *list) {
        json_t *again;
        Domain d = {};

        if (events_from_json(&d, list) < 0)
                abort();
        again = events_to_json(&d);
        if (!again || events_count(&d) > EVENTS_MAX || json_array_size(again) != events_count(&d))
                abort();
        json_decref(again);
        events_free(d.events);
}

/* What is accepted has what adoption relies on. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_status_ Status s = {};
        _cleanup_fault_ Fault f = FAULT_INIT;

        if (status_parse((const char *) data, size, &s, &f) < 0) {
                if (!f.message)
                        abort();
        } else if (!s.name || sd_id128_is_null(s.uuid) || s.state < 0 || s.reason < 0 || s.supervisor_pid < 0)
                abort();
        else
                take_up(s.events);
        return 0;
}
