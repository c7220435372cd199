/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "macro.h"

/* Sees to it that virtlogd runs while pipes of it are in use: a guest would have to wait for it in the end. Where systemd restarts it, this
 * is not needed and does no harm. */
typedef struct LogGuard LogGuard;

/* Asked whether any pipe is in use. */
typedef bool (*LogGuardNeeded)(void *userdata);

int log_guard_new(sd_bus *bus, LogGuardNeeded needed, void *userdata, LogGuard **ret);
LogGuard *log_guard_free(LogGuard *g);
/* Starts virtlogd now, if it is needed: for VMs that were found running. */
void log_guard_check(LogGuard *g);
