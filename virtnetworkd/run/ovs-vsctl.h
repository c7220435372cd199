/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "fault.h"

/* Runs ovs-vsctl, which tells Open vSwitch's database what there is to be: a few at a time, each with a deadline. */
typedef struct Vsctl Vsctl;

int vsctl_new(sd_event *event, Vsctl **ret);
/* What runs is killed; whoever waits is told: FAULT_STOPPING. */
Vsctl *vsctl_free(Vsctl *v);
DEFINE_CLEANUP(Vsctl *, vsctl_free)

/* Exactly once, never from within vsctl_run(). FAULT_NETWORK, FAULT_TIMEOUT. */
typedef void (*VsctlDone)(const Fault *why, void *userdata);

/* One transaction, of commands with "--" before each. `wait`: until the switch does it, and whether it could. Takes over `commands`, also on
 * failure. When one is not answered in time those that wait behind it fail with it. */
int vsctl_run(Vsctl *v, char **commands, bool wait, VsctlDone done, void *userdata, Fault *f);
/* Whether it is certain, after such a fault, that nothing was done. */
bool vsctl_did_nothing(const Fault *why);
