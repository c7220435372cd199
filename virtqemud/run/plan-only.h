/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/launch.h"
#include "domain.h"

/* What a start would execute, without starting: images are only opened for reading, to find backing chains; nothing is created. */
typedef struct PlanOnly PlanOnly;

/* Exactly once, unless plan_only() fails; may be called from within. */
typedef void (*PlanDone)(const LaunchPlan *plan, int error, const Fault *f, void *userdata);
int plan_only(Domain *d, PlanDone done, void *userdata, Fault *f);

/* The domain goes away: all that wait are told. */
void plan_only_clear(Domain *d);
