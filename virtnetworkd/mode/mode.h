/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/network-def.h"
#include "../def/dhcp-leases.h"
#include "fault.h"
#include "ruleset.h"

/* What guests of a network get. */
typedef enum PortWay {
        PORTS_ON_BRIDGE,         /* a tap on a bridge of the kernel */
        PORTS_BESIDE_HOST,       /* a macvtap on a link of the host */
        PORTS_IN_SWITCH,         /* a tap that Open vSwitch takes */
        _PORT_WAY_MAX,
} PortWay;

/* What a kind of network needs and does: a file, and a row in list.h. */
typedef struct ModeOps {
        NetworkKind kind;
        bool own_bridge;         /* the network makes its bridge, and may have addresses, DHCP and DNS */
        bool needs_ip;           /* nothing works without an <ip> */
        bool forwards;           /* <forward dev> and <interface> say where to */
        PortWay ports;
        bool vlans;              /* ports can be in some */
        bool virtual_ports;      /* <virtualport> says more of them */
        /* Rules of this kind alone; may be NULL. */
        int (*check)(const NetworkDef *def, Fault *f);
        bool port_forwards;      /* the host can lead connections to its guests */
        bool firewall;           /* only what `rules` lets pass gets in and out */
        /* For each address of an active network; NULL: nothing passes. */
        int (*rules)(const NetworkDef *def, const NetworkIp *ip, Ruleset *s);
} ModeOps;

const ModeOps *mode_ops(NetworkKind kind);

/* For all kinds: whether the definition has only what its kind knows. */
int mode_check(const NetworkDef *def, Fault *f);
/* All rules of a network whose bridge and addresses are known; `grants`: what its guests were given, or NULL. -ENOMEM. */
int mode_rules(const NetworkDef *def, const DhcpGrants *grants, Ruleset *s);

/* --- building blocks for rows ---
 *
 * A forwarded packet passes "from-BRIDGE" of the network it comes from and "to-BRIDGE" of the one it goes to. Each returns what may pass as
 * far as it is concerned and refuses the rest, so that a packet between two networks needs the consent of both. */

typedef enum Side { SIDE_FROM, SIDE_TO } Side;

/* What may pass on that side: a rule to be filled with more conditions; NULL: out of memory. */
Rule *mode_let_pass(const NetworkDef *def, Ruleset *s, Side side);
/* Everything from and to the network's own addresses; `new_connections`: also those that begin outside. */
int mode_let_through(const NetworkDef *def, const NetworkIp *ip, bool new_connections, Ruleset *s);
