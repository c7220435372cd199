/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

#define NETWORK1 "org.virtbus.network1"
#define NETWORK1_MANAGER NETWORK1 ".Manager"
#define NETWORK1_NETWORK NETWORK1 ".Network"

/* A network's object; an exit status. */
int network_find(Client *c, const char *name, char **ret);
