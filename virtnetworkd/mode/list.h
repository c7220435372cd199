/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every kind of network: MODE(variable of its file). */
MODE(mode_bridge)
MODE(mode_hostdev)
MODE(mode_isolated)
MODE(mode_macvtap)
MODE(mode_nat)
MODE(mode_open)
MODE(mode_openvswitch)
MODE(mode_route)
