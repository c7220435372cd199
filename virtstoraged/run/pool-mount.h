/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"
#include "unit.h"

/* The file system that a pool is on: mounted by systemd, as a unit that everybody sees. */

/* 1: it is there already, which is fine. 0: `done` is called. FAULT_POOL: something else is there. */
int pool_mount(Pool *p, UnitDone done, void *userdata, UnitCall **ret, Fault *f);
/* The same when a unit of that name is somebody else's (fstab's): that one is started. */
int pool_mount_existing(Pool *p, UnitDone done, void *userdata, UnitCall **ret, Fault *f);
int pool_unmount(Pool *p, UnitDone done, void *userdata, UnitCall **ret, Fault *f);
