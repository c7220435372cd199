/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device.h"
#include "interface.h"

/* Interfaces whose frames go through a socket or a device that is no tap: to a switch that is a program (vhostuser), to hardware that speaks
 * virtio (vdpa), or to QEMUs of this host and others (client, server, udp). */

/* Between its fields, and against the rest of the definition. */
int interface_socket_check_record(const Interface *i, Fault *f);
int interface_socket_check(const Interface *i, const DomainDef *def, Fault *f);
/* The netdev, with what it needs before it; NULL: out of memory. */
json_t *interface_socket_netdev(const Interface *i, Args *a, const char *id);
