/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* storage.conf; storage.conf(5) says what they mean. */
typedef struct Settings {
        uint64_t deadline_usec;
        uint64_t check_usec;
        uint64_t watermark;          /* percent */
} Settings;

int settings_load(Settings *s, const char *config_dir, Fault *f);
