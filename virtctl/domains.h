/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* VMs by patterns, with what is known of them, in one call for any number of them. */

/* Properties (none: all) of the VMs whose names or UUIDs match any of the patterns (none: all), as a list of objects in the order of their names;
 * "Path" is with them. 0, or an exit status. */
int domains_read(Client *c, const char *const *properties, size_t n_properties, char *const *patterns, int n_patterns, json_t **ret);

/* Paths of the VMs that are named: by a name or a UUID, which must be there, or by patterns, of which each must match one. New list of texts. */
int domains_find(Client *c, char *const *names, int n, json_t **ret);
