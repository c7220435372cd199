/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "../device/hostdev.h"
#include "host-device.h"

/* USB devices of the host that a running VM should have and has not, because they were pulled out, or were missing when it was started and
 * may be. They are given to it as soon as they are (back) there. Kept in the status file. */
typedef struct UsbReturn UsbReturn;

UsbReturn *usb_return_free(UsbReturn *u);

/* It was missing at the start of the VM. */
int usb_return_await(Instance *i, const Hostdev *h);

/* The host has one more; one less. */
void usb_return_came(Manager *m, const HostDevice *device);
void usb_return_gone(Manager *m, const HostDevice *device);
/* All that the host has is known: what came and went while nobody listened is looked for. */
void usb_return_look(Manager *m);

/* An array; NULL: nothing is waited for, or out of memory. */
json_t *usb_return_to_json(const Instance *i);
int usb_return_from_json(Instance *i, json_t *list);
