/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

#include <string.h>

#include "mem.h"
#include "str.h"

#define LAYER_MAX 1024u

char *companion_name(const Device *d, unsigned layer) {
        assert(d);

        return layer == 0 ? strdup(d->id) : strf("%s:%u", d->id, layer);
}

bool companion_is_of(const char *name, const char *id, unsigned *ret_layer) {
        const char *rest = str_after(name, id);
        uint64_t layer = 0;

        assert(name && id);

        if (!rest || (*rest && (*rest != ':' || parse_u64(rest + 1, 10, &layer) < 0 || layer == 0 || layer > LAYER_MAX)))
                return false;
        if (ret_layer)
                *ret_layer = (unsigned) layer;
        return true;
}

const Device *companion_device(const DomainDef *def, const char *name, unsigned *ret_layer) {
        assert(def && name);

        for (size_t i = 0; i < def->devices.n; i++) {
                const Device *d = (const Device *) def->devices.items[i];

                if (d->id && companion_is_of(name, d->id, ret_layer))
                        return d;
        }
        return NULL;
}

int companion_make(const DomainDef *def, const char *name, const char *state, Companion *ret) {
        unsigned layer = 0;
        const Device *d = companion_device(def, name, &layer);

        assert(ret);

        if (!d)
                return -ENOENT;
        if (layer > 0)
                return d->ops->layer_companion ? d->ops->layer_companion(d, layer, ret) : -ENOENT;
        return d->ops->companion ? d->ops->companion(d, state, ret) : -ENOENT;
}
