/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Hears of it when virtlockd says that a lease of a running domain is lost, and does what its <on_lockfailure> says, or the settings. */
typedef struct LeaseGuard LeaseGuard;

int lease_guard_new(Manager *m, LeaseGuard **ret);
LeaseGuard *lease_guard_free(LeaseGuard *g);
