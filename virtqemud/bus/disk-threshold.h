/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/disk.h"
#include "service.h"

/* Has QEMU tell, once, when the guest writes beyond that byte of the disk's image; 0: no more. Answers the call. */
int disk_set_threshold(Domain *d, const Disk *disk, uint64_t bytes, sd_bus_message *call, Fault *f);
