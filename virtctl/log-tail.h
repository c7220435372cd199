/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* The last lines of all logs that virtlogd keeps of a VM, as {"serial0": ["…", …], …}; empty where there are none. What a guest can do to a
 * terminal is taken out. */
json_t *log_tail(Client *c, const char *uuid, size_t lines);
