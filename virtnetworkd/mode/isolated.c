/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"

/* No <forward>: guests reach each other and the host, nothing else. */
const ModeOps mode_isolated = { .kind = NETWORK_ISOLATED, .own_bridge = true, .firewall = true };
