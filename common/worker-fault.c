/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker-fault.h"

#include <string.h>

json_t *worker_fault_to_json(const Fault *f, FaultKind otherwise, int error) {
        bool set = fault_is_set(f);

        return json_pack("{s:s, s:i, s:s, s:s*}", "kind", fault_kind_to_string(set ? f->kind : otherwise), "errno", set ? f->error : -error, "message",
                         set ? fault_text(f) : strerror(-error), "hint", f->hint);
}

int worker_fault_from_json(const json_t *json, Fault *ret) {
        FaultKind kind = fault_kind_from_string(json_string_value(json_object_get(json, "kind")));
        json_int_t error = json_integer_value(json_object_get(json, "errno"));
        const char *message = json_string_value(json_object_get(json, "message"));
        const char *hint = json_string_value(json_object_get(json, "hint"));

        if (kind <= FAULT_NONE || error <= 0 || error > 4095 || !message)
                return -EBADMSG;
        fault_set(ret, kind, (int) error, "%s", message);
        if (hint)
                fault_hint(ret, "%s", hint);
        return 0;
}
