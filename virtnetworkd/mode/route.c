/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"

/* The outside knows the way to the guests. */
static int route_rules(const NetworkDef *def, const NetworkIp *ip, Ruleset *s) {
        return mode_let_through(def, ip, true, s);
}

const ModeOps mode_route = {
        .kind = NETWORK_ROUTE, .own_bridge = true, .needs_ip = true, .forwards = true, .port_forwards = true, .firewall = true, .rules = route_rules,
};
