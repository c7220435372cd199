/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/host-def.h"

#define HOST_PROCESSORS_MAX 8192u
#define HOST_NODES_MAX 1024u

/* Reads /proc and /sys below `root`, "" in earnest. What a kernel does not tell stays as it is for a host of one node: only a lack
 * of memory is an error. Some five small files per processor. */
int host_info_read(const char *root, HostInfo **ret);
