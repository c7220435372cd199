/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* For a program that reads what guests wrote: from here on only these files, what the system installed; each list ends in NULL.
 * What this kernel can't do is left out: it is the second wall, not the first. NULL lists: no limit for files. */
int sandbox_enter(const char *const *readable, const char *const *writable);

/* The first in the process that will start such programs, the other in the child, while it has all of its descriptors. */
void sandbox_prepare_network(void);
void sandbox_leave_network(void);
