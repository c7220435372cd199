/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* The ports that the interfaces of one run have on networks and bridges, from virtnetworkd: a tap each, which is gone when nobody has its
 * descriptors any more. */
typedef struct DomainPorts DomainPorts;

/* Exactly once, never from within domain_ports_new(): all are there, with their names in the live definition, or `why` not. */
typedef void (*DomainPortsDone)(const Fault *why, void *userdata);

/* `live`: its definition, or what is plugged into it. */
int domain_ports_new(Domain *d, DomainDef *live, DomainPortsDone done, void *userdata, DomainPorts **ret, Fault *f);
DomainPorts *domain_ports_free(DomainPorts *p);
DEFINE_CLEANUP(DomainPorts *, domain_ports_free)

/* The descriptor of a queue, by interface_queue_name(); it stays the ports'. -1: none. */
int domain_ports_fd(const DomainPorts *p, const char *queue);
