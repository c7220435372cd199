/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netaddr.h"
#include "port-def.h"

/* What Open vSwitch is told of guests' ports: commands of ovs-vsctl as words, each set of them one transaction. Nothing in them can be taken for
 * another command: names are checked, other text is quoted. Pure. */
typedef struct SwitchPort {
        const char *name, *bridge;   /* switch_port_name_is_good() */
        MacAddress mac;              /* the guest's; unset: nobody knows */
        sd_id128_t domain;           /* null: nobody knows */
        bool isolated;               /* from other isolated ports */
        const PortSettings *settings;
} SwitchPort;

/* Whether a link of the host can be called so, and ovs-vsctl takes it for a name. */
bool switch_port_name_is_good(const char *name);

/* Puts it into its bridge; one of that name which is there is replaced. -EINVAL: text that is no UTF-8. */
int switch_port_add(const SwitchPort *p, char ***ret);
/* Takes it out, wherever it is, when its limits are gone: two transactions. */
int switch_port_unlimit(const char *name, char ***ret);
int switch_port_remove(const char *name, char ***ret);
/* Other limits. A peak is nothing that Open vSwitch knows; nor is a burst of what comes to the guest. */
int switch_port_limit(const char *name, const Bandwidth *inbound, const Bandwidth *outbound, char ***ret);
