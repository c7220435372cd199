/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"
#include "xml-read.h"

/* A bridge the host has: guests are on its network, with whatever is there. */
static int bridge_check(const NetworkDef *def, Fault *f) {
        if (def->mtu != NUMBER_UNSET)
                return xml_fault_below(&def->head, "mtu", f, FAULT_INVALID_DEFINITION, "the bridge %s is the host's: its mtu is set there", def->bridge);
        return 0;
}

const ModeOps mode_bridge = { .kind = NETWORK_BRIDGE, .vlans = true, .check = bridge_check };
