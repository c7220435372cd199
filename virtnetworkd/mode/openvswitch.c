/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"
#include "xml-read.h"

/* A bridge of Open vSwitch that the host has: guests are ports of it. */
static int openvswitch_check(const NetworkDef *def, Fault *f) {
        if (def->mtu != NUMBER_UNSET)
                return xml_fault_below(&def->head, "mtu", f, FAULT_INVALID_DEFINITION, "the bridge %s is Open vSwitch's: its mtu is set there", def->bridge);
        if (def->mac_table == MAC_TABLE_LIBVIRT)
                return xml_fault_below(&def->head, "bridge/@macTableManager", f, FAULT_NOT_SUPPORTED, "Open vSwitch learns by itself who is where");
        return 0;
}

const ModeOps mode_openvswitch = {
        .kind = NETWORK_OPENVSWITCH, .ports = PORTS_IN_SWITCH, .vlans = true, .virtual_ports = true, .check = openvswitch_check,
};
