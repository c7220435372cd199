/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* <clock offset='variable'>: what the guest sets its clock to is how far it is from the host's from then on, also after its next start. */

/* The guest has set it: so is the machine that runs, and so will be its definition. */
void clock_set(Domain *d, int64_t adjustment);
/* The same, found in what the daemon before us knew. */
void clock_take_up(Domain *d);
/* The run is over: the definition is written. */
void clock_keep(Domain *d);
