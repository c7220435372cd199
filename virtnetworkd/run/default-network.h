/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "networks.h"

/* The network that definitions from everywhere expect to be there: NAT, with addresses nobody uses on this host. Defined once in the life
 * of a host, and started by the first VM that is on it; who removes it has it removed for good. */
int default_network_offer(Networks *s, Fault *f);
