/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "record.h"

/* What <driver> of any virtio device may say. */
typedef struct VirtioOptions {
        Tristate iommu, ats, packed, page_per_vq, event_idx, ioeventfd;
} VirtioOptions;

#define VIRTIO_FIELDS(at)                                                                               \
        { "driver/@iommu", &field_on_off, (at) + offsetof(VirtioOptions, iommu) },                      \
        { "driver/@ats", &field_on_off, (at) + offsetof(VirtioOptions, ats) },                          \
        { "driver/@packed", &field_on_off, (at) + offsetof(VirtioOptions, packed) },                    \
        { "driver/@page_per_vq", &field_on_off, (at) + offsetof(VirtioOptions, page_per_vq) },          \
        { "driver/@event_idx", &field_on_off, (at) + offsetof(VirtioOptions, event_idx) },              \
        { "driver/@ioeventfd", &field_on_off, (at) + offsetof(VirtioOptions, ioeventfd) }
