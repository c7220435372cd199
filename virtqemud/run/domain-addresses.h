/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "netaddr.h"

/* IP addresses of a running domain's interfaces, as virtnetworkd knows them: what DHCP has given, and what the host has learned. */
typedef struct DomainAddresses DomainAddresses;

typedef struct DomainAddress {
        const char *device;          /* "net0" */
        IpAddress address;
        unsigned prefix;
        char source[8];              /* lease, arp, agent */
} DomainAddress;

/* Asks, and keeps it true from then on; NULL if there is nothing to ask. Changes are told by domain_changed(). */
int domain_addresses_new(Domain *d, DomainAddresses **ret);
DomainAddresses *domain_addresses_free(DomainAddresses *a);
DEFINE_CLEANUP(DomainAddresses *, domain_addresses_free)

/* Those of a domain, with what its guest's agent says (run/guest-agent.h): of an address that both know it is the agent's. Ends with the first
 * error of `found`. */
int domain_each_address(const Domain *d, int (*found)(const DomainAddress *address, void *userdata), void *userdata);
