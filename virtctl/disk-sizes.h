/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Asks how large each disk among a domain's devices is, as GetDevices has them, and adds "Capacity", "Allocation" and "Physical" to those where
 * it is known. */
void disk_sizes_add(Client *c, json_t *devices);
