/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* CONFIG/log.conf and CONFIG/log.conf.d/; docs/log.conf.rst explains them. */
typedef struct Settings {
        uint64_t max_size, max_backups;
        uint64_t block_limit_usec;      /* a full disk may hold up a guest for so long */
        bool journal;
        uint64_t rate_interval_usec, rate_burst;
} Settings;

int settings_load(const char *config_dir, Settings *ret, Fault *f);
