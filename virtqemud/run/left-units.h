/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Units whose failure tells nobody anything any more: that of a VM that is not defined any more, or of a start that was asked of us, which has
 * been told. systemd would keep each of these names for ever, and list it among the failed ones. */

/* Once systemd has done with it. */
void left_unit_forget(Manager *m, const char *unit);
/* It is started again: what becomes of this run is to be seen. */
void left_unit_taken(Manager *m, const char *unit);
void left_units_clear(Manager *m);
