/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* Storage pools, their volumes, and secrets. */

#define STORAGE1_MANAGER "org.virtbus.storage1.Manager"
#define STORAGE1_POOL "org.virtbus.storage1.Pool"
#define STORAGE1_SECRET "org.virtbus.storage1.Secret"
#define STORAGE1_VOLUME "org.virtbus.storage1.Volume"

int pool_find(Client *c, const char *name, char **ret);
/* "capacity" and "allocation" in bytes, as words for people: "size" and "taken". */
void storage_show_sizes(json_t *volume);
