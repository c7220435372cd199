/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../run/host-devices.h"
#include "service.h"

/* org.virtbus.qemu1.HostDevice: the objects …/hostdev/NAME, and the methods of the Manager about all of them. */
extern const BusObject hostdev_object;
extern const HostDeviceWatch hostdev_watch;    /* userdata: the Service */
extern const sd_bus_vtable manager_hostdev_vtable[];
