/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "networks.h"

/* An address of a guest, and how we know. */
typedef struct GuestAddress {
        IpAddress address;
        unsigned prefix;
        bool leased;                 /* by us; else learned by ARP or neighbour discovery */
} GuestAddress;

#define GUEST_ADDRESSES_MAX 32u
/* What is known of the guest with that MAC address: leases first. At most GUEST_ADDRESSES_MAX; returns how many. */
size_t guest_addresses(Networks *s, const MacAddress *mac, GuestAddress *ret);
