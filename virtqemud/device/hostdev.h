/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"

/* <hostdev>: a device of the host that the guest gets for itself. USB devices, of which one is told by what it is (vendor and product),
 * by where it is plugged in (bus and port), by the number it has until it is plugged out (bus and device), or by several of these. */
typedef struct Hostdev {
        Device device;
        int mode, type;
        Tristate managed;
        int startup_policy, guest_reset;
        uint64_t vendor, product;      /* both or none are NUMBER_UNSET, as are: */
        uint64_t bus, number;
        char *port;                    /* "1.2": port 2 of the hub at port 1 */
        uint64_t found_bus, found_number; /* live: which one it was when it was opened */
} Hostdev;

/* NULL if it is something else. */
const Hostdev *device_as_hostdev(const Device *d);
/* The machine can be started without it. */
bool hostdev_is_optional(const Hostdev *h);
/* "vendor 0x046d, product 0xc52b on bus 1, port 1.2"; new string. NULL: out of memory. */
char *hostdev_text(const Hostdev *h);
