/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-bus.h"

#include "../run/host-info.h"
#include "clock.h"

#define FRESH_USEC UINT64_C(1000000)    /* clients ask for one property after another */

const HostInfo *service_host_info(Service *s) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);
        HostInfo *fresh;

        if (s->host_info && now - s->host_info_usec < FRESH_USEC)
                return s->host_info;
        if (host_info_read("", &fresh) < 0)
                return NULL;
        host_info_free(s->host_info);
        s->host_info = fresh;
        s->host_info_usec = now;
        return fresh;
}

/* --- properties --- */

#define HOST_GETTER(name)                                                                               \
        static int name##_of(const HostInfo *h, sd_bus_message *reply);                                 \
        BUS_GETTER(name) {                                                                              \
                const HostInfo *h = service_host_info(service_of(userdata));                            \
                                                                                                        \
                return h ? name##_of(h, reply) : -ENOMEM;                                               \
        }                                                                                               \
        static int name##_of(const HostInfo *h, sd_bus_message *reply)

HOST_GETTER(get_architecture) {
        return sd_bus_message_append(reply, "s", h->arch);
}

static int append_words(sd_bus_message *reply, const char *key, char **words) {
        int r = sd_bus_message_open_container(reply, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", key);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, words);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

HOST_GETTER(get_cpu) {
        const HostShape shape = host_info_shape(h);
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}", "model", "s", h->model ?: "",
                                          "vendor", "s", h->vendor ?: "", "family", "u", h->family, "model-number", "u", h->model_number,
                                          "stepping", "u", h->stepping, "microcode", "u", h->microcode);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}", "address-bits", "u", h->address_bits,
                                          "sockets", "u", shape.sockets, "dies", "u", shape.dies, "cores", "u", shape.cores, "threads", "u", shape.threads);
        if (r >= 0)
                r = append_words(reply, "flags", h->flags);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

HOST_GETTER(get_topology) {
        int r = sd_bus_message_open_container(reply, 'a', "(uuuuu)");

        for (size_t i = 0; i < h->n_processors && r >= 0; i++) {
                const HostProcessor *p = &h->processors[i];

                r = sd_bus_message_append(reply, "(uuuuu)", p->id, p->node, p->socket, p->die, p->core);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_pages(sd_bus_message *reply, const HostPagesList *list) {
        int r = sd_bus_message_open_container(reply, 'a', "(ttt)");

        for (size_t i = 0; i < list->n && r >= 0; i++)
                r = sd_bus_message_append(reply, "(ttt)", list->items[i].size, list->items[i].total, list->items[i].free);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_processors_of(sd_bus_message *reply, const HostInfo *h, const HostNode *node) {
        int r = sd_bus_message_open_container(reply, 'a', "u");

        for (size_t i = 0; i < h->n_processors && r >= 0; i++)
                if (h->processors[i].node == node->id)
                        r = sd_bus_message_append(reply, "u", h->processors[i].id);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_node(sd_bus_message *reply, const HostInfo *h, const HostNode *node) {
        int r = sd_bus_message_open_container(reply, 'r', "uttauaua(ttt)");

        if (r >= 0)
                r = sd_bus_message_append(reply, "utt", node->id, node->memory, node->free);
        if (r >= 0)
                r = append_processors_of(reply, h, node);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'u', node->distances, node->n_distances * sizeof(*node->distances));
        if (r >= 0)
                r = append_pages(reply, &node->pages);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

HOST_GETTER(get_nodes) {
        int r = sd_bus_message_open_container(reply, 'a', "(uttauaua(ttt))");

        for (size_t i = 0; i < h->n_nodes && r >= 0; i++)
                r = append_node(reply, h, &h->nodes[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

HOST_GETTER(get_huge_pages) {
        return append_pages(reply, &h->pages);
}

HOST_GETTER(get_iommu) {
        return sd_bus_message_append(reply, "u", h->iommu_groups);
}

HOST_GETTER(get_kvm_features) {
        return sd_bus_message_append_strv(reply, h->kvm_features);
}

#define EXPLICIT SD_BUS_VTABLE_PROPERTY_EXPLICIT

const sd_bus_vtable manager_host_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("HostArchitecture", "s", get_architecture, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("HostCPU", "a{sv}", get_cpu, 0, EXPLICIT),
        SD_BUS_PROPERTY("HostTopology", "a(uuuuu)", get_topology, 0, EXPLICIT),
        SD_BUS_PROPERTY("HostNodes", "a(uttauaua(ttt))", get_nodes, 0, EXPLICIT),
        SD_BUS_PROPERTY("HostHugePages", "a(ttt)", get_huge_pages, 0, EXPLICIT),
        SD_BUS_PROPERTY("IOMMUGroups", "u", get_iommu, 0, EXPLICIT),
        SD_BUS_PROPERTY("KVMFeatures", "as", get_kvm_features, 0, EXPLICIT),
        SD_BUS_VTABLE_END
};
