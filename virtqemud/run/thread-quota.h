/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* How long CPUs single threads of QEMU may use. Systemd keeps the limits of units, and of nothing below them: its unit delegates that to us.
 * Each virtual CPU and each thread for disks that has a quota is in a control group of its own below the unit's, and so are all others
 * together, "emulator"; a thread without a quota is in none. */

/* As `def` says, of the domain's QEMU. What can't be had is a warning of the domain. */
void thread_quotas_apply(Domain *d, const DomainDef *def);
bool thread_quotas_differ(const DomainDef *a, const DomainDef *b);
