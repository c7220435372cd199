/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "handover.h"
#include "operation.h"

/* Starting a domain: one table of steps, whether it was asked for over D-Bus or by systemd starting the unit. */

typedef enum StartFlags {
        START_PAUSED = 1 << 0,   /* leave the guest stopped before its first instruction */
} StartFlags;

int start_domain(Domain *d, unsigned flags, Operation **ret, Fault *f);
/* It is off: starts it, now or as soon as what is under way has ended; who can't be started is logged. */
void start_again(Domain *d);
/* From operation.c: that has ended. */
void start_if_wanted(Domain *d);

/* A supervisor asks for its plan. Begins a start if none is under way (the unit was started from outside). Takes over `request`,
 * which is answered exactly once. */
void start_supervisor_asks(Domain *d, PlanRequest *request);

/* Takes up a start that an earlier life of this daemon gave its plan away for; `paused` as it was asked then. */
int start_resume(Domain *d, unsigned flags, Fault *f);

/* From monitor.c and instance.c: whether a start under way takes care of it. */
bool start_monitor_ready(Domain *d);
void start_monitor_closed(Domain *d, const Fault *why);
bool start_qemu_ended(Domain *d);
/* systemd has done with the unit of the run before. */
void start_unit_left(Domain *d);

bool start_is_paused(const Domain *d);

/* For the status file. */
bool start_is_under_way(const Domain *d, unsigned *ret_flags);
/* A start is under way that has not asked for its leases yet. */
bool start_is_without_leases(const Domain *d);
