/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "secrets.h"
#include "work.h"

#define SECRETS_OF_WORK_MAX 2u

/* As work_start(), of work that needs values of secrets, which may have to be unsealed first: its request says "secret", and the values are its
 * descriptors, in that order. Meanwhile the volume may have gone, or come: that is looked at again, and the call gets the error. */
int secret_work_start(Pool *p, Secret *const *secrets, size_t n, const WorkSpec *spec, Fault *f);
