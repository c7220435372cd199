/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/disk.h"
#include "service.h"

/* How large a disk and its image are, whether its VM runs or not: a process of its own looks, within IMAGE_DEADLINE_USEC. Answers the call.
 * FAULT_INVALID_STATE: the drive is empty; FAULT_NOT_SUPPORTED: it is nothing on this host; FAULT_LIMIT. */
int disk_size_ask(Service *s, Domain *d, const Disk *disk, sd_bus_message *call, Fault *f);
void disk_sizes_clear(Service *s);
