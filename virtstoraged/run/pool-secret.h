/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"

/* What a pool logs in with. It is fetched when the pool starts, and is in memory as long as it is active. */

/* 1: it is there, or none is needed; 0: `done` comes later, unless it is forgotten before. */
int pool_fetch_secret(Pool *p, DefinedDone done, void *userdata, Fault *f);
void pool_forget_secret(Pool *p);
