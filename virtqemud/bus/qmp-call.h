/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../run/instance.h"
#include "sdbus.h"

/* Answers the call with nothing when QEMU has done the command, else with why it has not: also when it ends before it says so. `hint`
 * (static, or NULL) goes with a refusal of QEMU's. Takes `arguments`, where NULL is want of memory. Negative: nothing was sent, and the
 * call is the caller's to answer. */
int qmp_call(const Domain *d, const char *command, json_t *arguments, const char *hint, sd_bus_message *call, Fault *f);
