/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/network-def.h"
#include "../def/dhcp-leases.h"
#include "fault.h"
#include "ruleset.h"

/* Ports of the host that lead to guests. */

#define PORT_FORWARD_MOVED_MAX 256u

/* `possible`: whether networks of this mode have any. */
int port_forward_check(const NetworkDef *def, bool possible, Fault *f);
/* Whether both take the same connections. */
bool port_forward_clash(const PortForward *a, const PortForward *b);

static inline uint64_t port_forward_end(const PortForward *w) {
        return w->end == NUMBER_UNSET ? w->start : w->end;
}

/* Where it leads now: at most one address of each family. 0: nobody has been seen who is meant. */
#define PORT_FORWARD_TARGETS_MAX 2u
unsigned port_forward_targets(const NetworkDef *def, const PortForward *w, const DhcpGrants *grants, IpAddress ret[PORT_FORWARD_TARGETS_MAX]);

/* For every network, before the rules of any, if one of them has port forwards: what guests and host say to its own addresses, DNS for one,
 * is not meant for a guest. -ENOMEM. */
int port_forward_spare(const NetworkDef *def, Ruleset *s);
/* For all of them; those that lead nowhere have no rules. -ENOMEM. */
int port_forward_rules(const NetworkDef *def, const DhcpGrants *grants, Ruleset *s);
