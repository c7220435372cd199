/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "fault.h"

/* The kernel has who removes a link wait, for tens of milliseconds, until none of its processors looks at it any more. A process of its own
 * waits. */

typedef void (*LinkRemoved)(const Fault *why, void *userdata);

/* `done` comes once unless the source is freed before; it may free it. One that has gone already is removed. The link is meant by its number,
 * as its name may be another's by then. */
int link_remove_beside(sd_event *event, int index, const char *name, LinkRemoved done, void *userdata, sd_event_source **ret);
