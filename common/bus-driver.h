/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "sdbus.h"

/* Plays the message bus on a connection to a private socket, as far as its clients need one: busctl and most libraries say Hello first,
 * and ask for signals, of which all are sent to them anyway. */
int bus_driver_add(sd_bus *connection);
/* Whether a message is for that bus. */
bool bus_driver_is_for(sd_bus_message *m);
