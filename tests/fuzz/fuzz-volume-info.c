/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "../../virtstoraged/def/pool-info.h"
#include "mem.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the worker says of a volume, after it has looked into images and folders of others: what is taken can be said again, and shown. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        json_auto_t *json = json_loadb((const char *) data, size, JSON_REJECT_DUPLICATES, NULL), *again = NULL;
        _cleanup_free_ char *xml = NULL;
        VolumeInfo v = {}, w = {};

        if (!json || volume_info_from_json(json, &v) < 0)
                return 0;
        again = volume_info_to_json(&v);
        if (!v.name || !v.path || !v.key || volume_info_from_json(again, &w) < 0 || !volume_info_equal(&v, &w))
                abort();
        (void) volume_info_to_xml(&v, &xml);
        volume_info_clear(&w);
        volume_info_clear(&v);
        return 0;
}
