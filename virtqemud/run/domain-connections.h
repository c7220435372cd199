/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/launch.h"
#include "domain.h"

/* TCP connections to other hosts that devices begin with (PLAN_FD_CONNECT_TCP): made before QEMU gets them, which has no network. */
typedef struct DomainConnections DomainConnections;

/* Exactly once, never from within domain_connections_new(): all are there, or `why` not. */
typedef void (*DomainConnectionsDone)(const Fault *why, void *userdata);

/* 1: the plan wants none, and nothing was made. The plan has to stay. */
int domain_connections_new(Domain *d, const LaunchPlan *plan, DomainConnectionsDone done, void *userdata, DomainConnections **ret, Fault *f);
DomainConnections *domain_connections_free(DomainConnections *c);
DEFINE_CLEANUP(DomainConnections *, domain_connections_free)

/* That of a descriptor of the plan, by its number; it stays the connections'. -1: none. */
int domain_connections_fd(const DomainConnections *c, int number);
