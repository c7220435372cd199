/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "secrets.h"
#include "work.h"

/* As work_start(), of work that needs the value of a secret, which may have to be unsealed first: its request says "secret", and the value
 * is its descriptor. Meanwhile the volume may have gone, or come: that is looked at again, and the call gets the error. */
int secret_work_start(Pool *p, Secret *secret, const WorkSpec *spec, Fault *f);
