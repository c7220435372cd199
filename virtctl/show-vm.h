/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"

/* A VM as `virtctl status` reads it: properties of org.virtbus.qemu1.Domain, and "Devices", "Statistics", "Agent", "JobUnderWay", "Pending" and
 * "Log" where they are known. */
void show_vm(const json_t *vm);

/* "● web - The web server", the dot in the colour of the state. */
void show_head(const char *name, const char *title, const char *state);
