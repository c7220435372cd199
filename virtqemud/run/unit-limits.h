/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "sdbus.h"

/* What the definition limits, at the domain's unit. */

/* Tells systemd; `done` comes later. 1: there is nothing to tell; without a unit that is a warning of the domain. */
int limits_apply(Domain *d, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret, Fault *f);
/* Tells what is different. 1: nothing is; with a `done` that is NULL nobody waits for the answer. FAULT_NOT_SUPPORTED without a unit. */
int limits_change(Domain *d, const DomainDef *before, const DomainDef *after, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret, Fault *f);
/* What `done` was given: 0, or why systemd refused. */
int limits_answer(const Domain *d, sd_bus_message *reply, Fault *f);
/* The unit is as if nothing had been said, for whatever comes next; nobody waits for it. */
void limits_reset(Domain *d);
