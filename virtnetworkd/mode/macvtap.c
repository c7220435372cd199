/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"
#include "xml-read.h"

/* Guests are beside the host on a link of it, each with a macvtap. */
static int macvtap_check(const NetworkDef *def, Fault *f) {
        if (!def->forward_dev && def->forward_interfaces.n == 0)
                return xml_fault_below(&def->head, "forward", f, FAULT_INVALID_DEFINITION, "mode '%s' needs an <interface dev='…'/>%s",
                                 forward_mode_to_string((ForwardMode) def->mode),
                                 def->mode == FORWARD_BRIDGE ? ", or a <bridge name='…'/> of the host" : "");
        if (def->bridge)
                return xml_fault_below(&def->head, "forward", f, FAULT_INVALID_DEFINITION, "mode '%s' has no bridge",
                                 forward_mode_to_string((ForwardMode) def->mode));
        if (def->mtu != NUMBER_UNSET)
                return xml_fault_below(&def->head, "mtu", f, FAULT_INVALID_DEFINITION, "macvtaps have that of their link: it is set there");
        if (def->isolated == YES && def->mode != FORWARD_PRIVATE && def->mode != FORWARD_PASSTHROUGH)
                return xml_fault_below(&def->head, "port/@isolated", f, FAULT_NOT_SUPPORTED, "guests on macvtaps are isolated by forward mode 'private'");
        if (def->mac_table == MAC_TABLE_LIBVIRT)
                return xml_fault_below(&def->head, "bridge/@macTableManager", f, FAULT_INVALID_DEFINITION, "mode '%s' has no bridge",
                                       forward_mode_to_string((ForwardMode) def->mode));
        return 0;
}

const ModeOps mode_macvtap = { .kind = NETWORK_MACVTAP, .forwards = true, .ports = PORTS_BESIDE_HOST, .check = macvtap_check };
