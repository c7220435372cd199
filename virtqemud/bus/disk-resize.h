/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../run/domain.h"
#include "sdbus.h"

/* Gives a disk of a running VM another size, and answers the call, which returns nothing, when the guest has been told. FAULT_INVALID_STATE,
 * FAULT_NO_SUCH_DEVICE; FAULT_INVALID_ARGS: it would be smaller, and `shrink` does not say that it may. */
int disk_resize(Domain *d, const char *target, uint64_t capacity, bool shrink, sd_bus_message *call, Fault *f);
