/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/interface.h"
#include "domain.h"
#include "sdbus.h"

/* What virtnetworkd is told of the port that an interface is to have. */

/* "a{sv} port, t flags, a{sv} options" of AttachPort() and its like. */
int port_append(sd_bus_message *m, const Domain *d, const Interface *i);
/* One entry of the first of these; none for what has no limit. */
int port_append_bandwidth(sd_bus_message *m, const char *name, const Bandwidth *b);
