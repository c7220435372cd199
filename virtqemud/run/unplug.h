/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "instance.h"

/* A device of a VM that runs goes when its guest lets go of it, whoever asked for that and whenever that was. What stood behind it in QEMU
 * is then taken away: block nodes, descriptors, leases. */
typedef struct Unplug Unplug;
Unplug *unplug_free(Unplug *u);

/* From the monitor: DEVICE_DELETED and DEVICE_UNPLUG_GUEST_ERROR. */
void unplug_device_deleted(Instance *i, const char *device);
void unplug_device_refused(Instance *i, const char *device);
/* The monitor answers after a time in which nobody listened: devices may have gone meanwhile. */
void unplug_look(Instance *i);
