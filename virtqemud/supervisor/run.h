/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* Places the descriptors of an answer to GetPlan() and executes virtqemu-watch. Returns only on failure, negative. */
int run_plan(sd_bus_message *reply);
