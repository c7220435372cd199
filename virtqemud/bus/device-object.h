/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/device.h"
#include "service.h"

/* The object of a device: that of the running domain, the one of the next start, or both. */
typedef struct DeviceObject DeviceObject;
struct DeviceObject {
        Domain *domain;
        char *id, *path;
        bool live, persistent, leaving;      /* as last told */
        bool seen;
        DeviceObject *next;
};

/* The device as it is now: the running one, if there is one. NULL: it has just gone. */
const Device *device_object_device(const DeviceObject *o);

/* BusObject.find for the devices of one kind, and .details. */
int device_object_find(const char *path, void *userdata, void **ret, DeviceKind kind);
int device_object_details(void *object, sd_bus_message *call);

#define DEVICE_OBJECT(name, iface, tables, finder)                                                      \
        const BusObject name = {                                                                        \
                .path = QEMU1_ROOT "/domain", .many = true, .interface = (iface), .vtables = (tables),  \
                .find = (finder), .details = device_object_details,                                     \
        }
