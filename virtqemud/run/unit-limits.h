/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "unit.h"

/* What the definition limits, at the domain's unit. */

/* Tells systemd; `done` comes later, unless the call is freed. 1: there is nothing to tell; without a unit that is a warning of the domain. */
int limits_apply(Domain *d, UnitDone done, void *userdata, UnitCall **ret, Fault *f);
/* Likewise what QEMU will open by itself, before it does. FAULT_HOST: that is not there. */
int limits_allow_devices(Domain *d, UnitDone done, void *userdata, UnitCall **ret, Fault *f);
/* Tells what is different. 1: nothing is. FAULT_NOT_SUPPORTED without a unit. */
int limits_change(Domain *d, const DomainDef *before, const DomainDef *after, UnitDone done, void *userdata, UnitCall **ret, Fault *f);
/* The unit was perhaps told of `before`, and is to be as `after` says. Nobody waits for it, but it is said again to a systemd that was away. */
int limits_take_back(Domain *d, const DomainDef *before, const DomainDef *after);
/* Likewise as if nothing had been said, for whatever comes next. */
void limits_reset(Domain *d);
/* For a daemon that ends. */
void limits_clear(Manager *m);
