/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Takes up what an earlier life of this daemon left running: reads the status files, finds supervisors and QEMUs again, connects to
 * their monitors. What was half started and had not got its plan is rolled back, what had is finished. */
int adopt_all(Manager *m);
