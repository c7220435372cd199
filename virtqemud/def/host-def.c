/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-def.h"

#include "str.h"

HostInfo *host_info_free(HostInfo *h) {
        if (!h)
                return NULL;
        for (size_t i = 0; i < h->n_processors; i++)
                free(h->processors[i].siblings);
        for (size_t i = 0; i < h->n_nodes; i++) {
                free(h->nodes[i].distances);
                free(h->nodes[i].pages.items);
        }
        free(h->processors);
        free(h->nodes);
        free(h->pages.items);
        free(h->arch);
        free(h->model);
        free(h->vendor);
        strv_free(h->flags);
        strv_free(h->kvm_features);
        free(h);
        return NULL;
}

/* Numbers of sockets, dies and cores need not be dense, and those of dies and cores are within what is above. */
static bool is_same(const HostProcessor *a, const HostProcessor *b, unsigned depth) {
        return (depth < 1 || a->socket == b->socket) && (depth < 2 || a->die == b->die) && (depth < 3 || a->core == b->core);
}

/* How many different things of that depth the thing of the depth above has that the processor is in. */
static uint32_t count_in(const HostInfo *h, const HostProcessor *p, unsigned depth) {
        uint32_t n = 0;

        for (size_t i = 0; i < h->n_processors; i++) {
                bool first = is_same(&h->processors[i], p, depth - 1);

                for (size_t j = 0; first && depth < 4 && j < i; j++)
                        first = !is_same(&h->processors[i], &h->processors[j], depth);
                n += first;
        }
        return n;
}

/* Of the first processor: hosts whose sockets differ are rare, and the list of processors tells all of it. */
HostShape host_info_shape(const HostInfo *h) {
        const HostProcessor *p = h->processors;

        if (h->n_processors == 0)
                return (HostShape) { 1, 1, 1, 1 };
        return (HostShape) { count_in(h, p, 1), count_in(h, p, 2), count_in(h, p, 3), count_in(h, p, 4) };
}
