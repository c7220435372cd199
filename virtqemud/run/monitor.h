/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "fault.h"
#include "instance.h"

/* What QEMU tells, and what follows from it. */

/* The monitor answers for the first time on this connection: asks for the state and goes on from there. */
void monitor_ready(Instance *i);
void monitor_event(Instance *i, const char *name, json_t *data);
void monitor_closed(Instance *i, const Fault *why);

/* Sends a command whose answer only matters if it fails; a failure is logged. */
void monitor_tell(Instance *i, const char *command, json_t *arguments);

/* Lets QEMU end when the guest powers off, whatever the definition says, or do again as the definition says. */
void monitor_end_on_shutdown(Instance *i, bool on);
