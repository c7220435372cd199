/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* CONFIG/lock.conf and CONFIG/lock.conf.d/; docs/lock.conf.rst explains them. */
typedef struct Settings {
        uint64_t deadline_usec;         /* of one request to a lockspace's file system */
        uint64_t check_interval_usec;   /* lockspaces that nothing tells of changes are looked at so often, while there are leases */
} Settings;

int settings_load(const char *config_dir, Settings *ret, Fault *f);
