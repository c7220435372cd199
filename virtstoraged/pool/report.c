/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <string.h>

#include "str.h"

int report_parse(const char *program, const char *text, json_t **ret, Fault *f) {
        json_error_t e;

        *ret = text ? json_loads(text, JSON_REJECT_DUPLICATES, &e) : NULL;
        return *ret ? 0 : fault_set(f, FAULT_POOL, EBADMSG, "what %s says can't be read: %s", program, text ? e.text : "nothing");
}

int report_number(const json_t *object, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(object, key);
        _cleanup_free_ char *text = NULL;

        if (json_is_integer(value) && json_integer_value(value) >= 0) {
                *ret = (uint64_t) json_integer_value(value);
                return 0;
        }
        if (!json_is_string(value))
                return -EBADMSG;
        text = strndup(json_string_value(value), strcspn(json_string_value(value), "."));
        return text && parse_u64(text, 10, ret) >= 0 ? 0 : -EBADMSG;
}

const char *report_text(const json_t *object, const char *key) {
        const char *text = json_string_value(json_object_get(object, key));

        return is_empty(text) ? NULL : text;
}
