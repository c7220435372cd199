/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Gets a supervisor going: through systemd by starting the VM's unit, or where there is none by launching the same program. */
typedef struct Launcher Launcher;

/* Only on failure, at most once: the unit could not be started, or the supervisor ended before it got its plan. */
typedef void (*LauncherFailed)(const Fault *f, void *userdata);

/* The instance's `unit` must be set when VMs are units. */
int launcher_new(Domain *d, LauncherFailed failed, void *userdata, Launcher **ret, Fault *f);

/* Takes it back: a unit that systemd was asked for and that has not come up is not to come up any more, also if systemd has not got to it yet.
 * `stopped` is called when that is sure, with nothing left to do for the launcher. Returns 1 without a call of it if there is nothing to wait
 * for. */
int launcher_stop(Launcher *l, void (*stopped)(void *userdata));

/* Forgets about it; what runs goes on. */
Launcher *launcher_free(Launcher *l);
DEFINE_CLEANUP(Launcher *, launcher_free)
