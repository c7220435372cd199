/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "../def/network-def.h"
#include "fault.h"

/* Who is behind which address, as the kernel has learned it by ARP and neighbour discovery: what guests say of themselves. */
typedef struct Neighbours Neighbours;

/* An address of that MAC address has come or gone. */
typedef void (*NeighboursChanged)(const MacAddress *mac, void *userdata);

int neighbours_new(sd_event *event, NeighboursChanged changed, void *userdata, Neighbours **ret, Fault *f);
Neighbours *neighbours_free(Neighbours *n);
DEFINE_CLEANUP(Neighbours *, neighbours_free)

/* Addresses that are known to be good, without link-local ones. Ends with the first error of `found`. */
int neighbours_of(const Neighbours *n, const MacAddress *mac, int (*found)(const IpAddress *a, int ifindex, void *userdata), void *userdata);
