/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/hostdev.h"
#include "domain.h"

/* Finds the USB devices of the host that `live`, a definition about to run as `d`, asks for, and writes into it which they are. At the
 * start of a VM what is missing and may be is taken out of it. FAULT_NO_SUCH_DEVICE, FAULT_IN_USE (by whom, if that is a VM), FAULT_INVALID_DEFINITION where
 * several devices are meant. */
int usb_hosts_find(const Domain *d, DomainDef *live, bool at_start, Fault *f);

/* The one that was found is still there; or, where none was, the host has one that is meant. */
bool usb_host_is_there(const Hostdev *h);

/* The file of one that was found. FAULT_NO_SUCH_DEVICE, FAULT_ACCESS_DENIED. */
int usb_host_open(const Hostdev *h, Fault *f);
