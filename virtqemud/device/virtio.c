/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "virtio.h"

#include <stdio.h>

const char *virtio_driver(const char *base, bool transitional, bool non_transitional) {
        static char names[4][64];
        static unsigned next;
        char *name = names[next++ % ARRAY_SIZE(names)];

        (void) snprintf(name, sizeof(names[0]), "%s-pci%s", base,
                        transitional ? "-transitional" : non_transitional ? "-non-transitional" : "");
        return name;
}

int json_set_switch(json_t *json, const char *key, Tristate value) {
        if (value == UNSET)
                return 0;
        return json_object_set_new(json, key, json_boolean(value == YES)) < 0 ? -ENOMEM : 0;
}

int json_set_text(json_t *json, const char *key, const char *value) {
        if (!value)
                return 0;
        return json_object_set_new(json, key, json_string(value)) < 0 ? -ENOMEM : 0;
}
