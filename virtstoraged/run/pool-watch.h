/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"

/* What others do in a pool's folder: looked at as soon as the kernel tells, with pauses where it never stops telling. */
typedef struct PoolWatch PoolWatch;

int pool_watch_new(Pool *p, PoolWatch **ret, Fault *f);
PoolWatch *pool_watch_free(PoolWatch *w);
/* For the worker, which knows when that may hang. */
int pool_watch_fd(const PoolWatch *w);
