/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"

/* Gives every PCI device a place and adds the root ports (q35) or bridges (pc) needed. Part of domain_assign_addresses(). */
/* A place for a device that is plugged into a running guest: it has to be there already, and one that the guest looks at again. No
 * effect on what needs none, or has one. */
int pci_place_hot(DomainDef *def, Device *d, Fault *f);

int pci_assign(DomainDef *def, Fault *f);

/* Sees to it that `n` root ports are free for hotplug; on a definition that is placed, of a board with PCI Express. */
int pci_add_spare_ports(DomainDef *def, unsigned n, Fault *f);

/* The device's address record, made if it has none; NULL: out of memory. */
Address *device_add_address(Device *d, AddressType type);
