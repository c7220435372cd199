/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link.h"

/* Puts a bridge's port into VLANs, and takes it out of the one that all ports are in. The bridge must filter by VLANs. FAULT_NETWORK. */
int bridge_port_set_vlans(Links *l, const char *bridge, const char *port, const PortSettings *s, Fault *f);
