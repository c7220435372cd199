/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "mem.h"
#include "netaddr.h"

#define DHCP_LEASES_MAX 65536u
#define DHCP_NAME_MAX 253u
#define DHCP_MAC_TEXT_MAX 18u

/* One address that a guest was given. What it says of itself is the guest's own word. */
typedef struct DhcpGrant {
        IpAddress address;
        char mac[DHCP_MAC_TEXT_MAX];     /* empty: IPv6, and its DUID holds none */
        char *name;                      /* NULL: it gave none */
        char *client_id;                 /* client id or DUID, hexadecimal with colons; NULL: none */
        uint64_t expires_usec;           /* CLOCK_REALTIME; 0: never */
} DhcpGrant;

typedef struct DhcpGrants {
        DhcpGrant *items;                /* sorted by address */
        size_t n, allocated;
} DhcpGrants;

void dhcp_grants_clear(DhcpGrants *g);
#define _cleanup_grants_ _cleanup_(dhcp_grants_clear)

/* Reads dnsmasq's file of leases. Lines that aren't leases are left out: dnsmasq may just be writing, and guests choose their names.
 * -ENOMEM only. */
int dhcp_grants_parse(const char *text, size_t length, DhcpGrants *ret);
/* Everything but how long it lasts. */
bool dhcp_grant_is_same(const DhcpGrant *a, const DhcpGrant *b);
