/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* The users that VMs have as units. virtqemu@.service says User=_vm-%i, so each is another one's: systemd would give all instances of a
 * template the same. Where that is no user's name for systemd ("web.example.com"), a drop-in says another one; without it, the unit does
 * not start. */

/* Writes the drop-in of "virtqemu@web.example.com.service" below a folder of units, if it needs one and has none. systemd sees it when
 * it loads the unit the next time. */
int unit_user_write(const char *folder, const char *unit);
/* Removes it. */
void unit_user_remove(const char *folder, const char *unit);
