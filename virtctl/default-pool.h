/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* The pool where volumes are made if nothing else is said. */
#define DEFAULT_POOL "default"

/* Makes it if there is none: a folder beside what else is kept for VMs, of the host or of the user. Says so. 0, or an exit status. */
int default_pool_make(Client *c);
