/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Tells the daemon how far the work has come: {"done", "total"} in bytes, a few times a second. -EPIPE: it is not interested any more. */
typedef struct Progress {
        uint64_t total, done;
        uint64_t told_usec;
} Progress;

int progress_add(Progress *p, uint64_t bytes);
int progress_set(Progress *p, uint64_t done);
