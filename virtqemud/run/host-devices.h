/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "host-device.h"
#include "manager.h"

/* All devices of the host that are of interest, and which VM has them. They are found in small slices some time after the daemon has started;
 * who asks before that is done has the rest found at once, so that every answer is whole and no news is needed of what it held. */
typedef struct HostDevices HostDevices;

#define HOST_DEVICES_MAX 65536u

typedef struct HostDeviceWatch {
        void (*added)(HostDevice *d, void *userdata);
        void (*removed)(HostDevice *d, void *userdata);   /* it can still be found */
        void (*changed)(HostDevice *d, unsigned what, void *userdata); /* HOST_DEVICE_… */
} HostDeviceWatch;

int host_devices_new(Manager *m, const HostDeviceWatch *watch, void *userdata, HostDevices **ret);
HostDevices *host_devices_free(HostDevices *h);
DEFINE_CLEANUP(HostDevices *, host_devices_free)

/* NULL: there is none. */
HostDevice *host_devices_find(HostDevices *h, const char *name);
/* The nearest of those that it hangs on; NULL: none. */
HostDevice *host_device_parent(const HostDevice *d);
/* In the order in which they were found; NULL gives the first one. */
HostDevice *host_devices_next(HostDevices *h, const HostDevice *after);

/* The domain runs with other devices than before, or has gone. */
void host_devices_claims_changed(HostDevices *h, const Domain *d, bool gone);
