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

int json_set_number(json_t *json, const char *key, uint64_t value) {
        if (value == NUMBER_UNSET)
                return 0;
        return json_object_set_new(json, key, json_integer((json_int_t) value)) < 0 ? -ENOMEM : 0;
}

bool virtio_options_any(const VirtioOptions *o) {
        return o->iommu || o->ats || o->packed || o->page_per_vq || o->event_idx || o->ioeventfd;
}

int virtio_options_add(const VirtioOptions *o, json_t *json) {
        const struct {
                const char *key;
                Tristate value;
        } rows[] = {
                { "iommu_platform", o->iommu }, { "ats", o->ats }, { "packed", o->packed }, { "page-per-vq", o->page_per_vq },
                { "event_idx", o->event_idx }, { "ioeventfd", o->ioeventfd },
        };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows) && r >= 0; i++)
                r = json_set_switch(json, rows[i].key, rows[i].value);
        return r;
}
