/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

/* Block devices that come, go or change, as udev tells. */
typedef struct DeviceWatch DeviceWatch;

/* A little later, once for all that happen together. */
typedef void (*DevicesChanged)(void *userdata);

int device_watch_new(sd_event *event, DevicesChanged changed, void *userdata, DeviceWatch **ret);
DeviceWatch *device_watch_free(DeviceWatch *w);
