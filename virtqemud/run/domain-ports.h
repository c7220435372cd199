/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/interface.h"
#include "domain.h"
#include "sdbus.h"

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

/* What has lost its bridge, because its network (NULL: any) was stopped by force, is put back on it if that is there again. Done when the
 * network is started, for which the second one listens; and to be done when nobody has listened for a while. */
void domain_ports_put_back(Domain *d, const char *network);
int domain_ports_listen(Manager *m);

/* Other limits for the port that a running interface has: those that `wanted` says. `done` NULL: nobody waits for the answer. */
int domain_port_limit(Domain *d, const Interface *running, const Interface *wanted, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret);
