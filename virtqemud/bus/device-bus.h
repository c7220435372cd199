/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service.h"

/* The objects of a domain's devices: DOMAIN/device/ID with the Device interface and the one of its kind. They follow the definitions:
 * a device is there while the persistent definition or the running domain has it. */

/* Brings the objects up to date and tells what came, went and changed. */
void device_bus_refresh(Service *s, Domain *d);
/* All of them go, with their domain. */
void device_bus_forget(Service *s, Domain *d);

/* Frees them without a word: the daemon ends, the domains go on. */
void device_bus_clear(Domain *d);

/* New string; NULL: out of memory. */
char *device_bus_path(const Domain *d, const char *device_id);
/* Appends the paths of all device objects. */
int device_bus_enumerate(const Domain *d, char ***paths, size_t *n);
