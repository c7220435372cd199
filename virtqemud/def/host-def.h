/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-id128.h>

#include "macro.h"

/* What the host is made of. Plain data: filled by run/host-info.c, read by everybody. Sizes are bytes. */

/* Pages of one size, of the host or of one node. */
typedef struct HostPages {
        uint64_t size, total, free;
} HostPages;

typedef struct HostPagesList {
        HostPages *items;       /* by size; the first ones are the usual pages */
        size_t n, allocated;
} HostPagesList;

/* A processor that is online. */
typedef struct HostProcessor {
        uint32_t id, node, socket, die, core;
        char *siblings;         /* "0-1": the threads of its core */
} HostProcessor;

typedef struct HostNode {
        uint32_t id;
        uint64_t memory, free;
        uint32_t *distances;    /* to each of the nodes, in their order */
        size_t n_distances, allocated_distances;
        HostPagesList pages;
} HostNode;

typedef struct HostInfo {
        sd_id128_t uuid;
        char *arch;
        char *model, *vendor;           /* "Intel(R) Xeon(R) …", "GenuineIntel"; NULL: the kernel does not say */
        uint32_t family, model_number, stepping, microcode, address_bits;
        char **flags;
        HostProcessor *processors;      /* by number */
        size_t n_processors, allocated_processors;
        HostNode *nodes;                /* at least one */
        size_t n_nodes, allocated_nodes;
        HostPagesList pages;            /* pools of large pages of the whole host */
        uint32_t iommu_groups;
        char **kvm_features;            /* "nested", "sev": what the module was told to do */
} HostInfo;

HostInfo *host_info_free(HostInfo *h);
DEFINE_CLEANUP(HostInfo *, host_info_free)

/* How many of them one of what is above it has, at most. */
typedef struct HostShape {
        uint32_t sockets, dies, cores, threads;
} HostShape;
HostShape host_info_shape(const HostInfo *h);
