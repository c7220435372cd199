/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/host-def.h"
#include "service.h"

/* Properties of the Manager about the host itself. */
extern const sd_bus_vtable manager_host_vtable[];

/* What the host is made of, at most a second old; NULL: out of memory. Borrowed until the next call. */
const HostInfo *service_host_info(Service *s);
