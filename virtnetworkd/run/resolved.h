/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "../def/network-def.h"

/* Has systemd-resolved, where it runs, ask the network's dnsmasq for names in the network's domain. It forgets that with the bridge. Nothing
 * waits for the answer: a refusal is logged. */
void resolved_register(sd_bus *bus, const NetworkDef *def, int ifindex);
