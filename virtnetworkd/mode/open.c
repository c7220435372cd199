/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mode.h"

/* As 'route', but the firewall is the administrator's alone. */
const ModeOps mode_open = { .kind = NETWORK_OPEN, .own_bridge = true };
