/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "table.h"

/* Ways to overwrite a volume, by libvirt's names. */
typedef enum WipeAlgorithm { WIPE_ZERO, WIPE_NNSA, WIPE_DOD, WIPE_BSI, WIPE_GUTMANN, WIPE_SCHNEIER, WIPE_PFITZNER7, WIPE_PFITZNER33, WIPE_RANDOM, WIPE_TRIM,
                             _WIPE_ALGORITHM_MAX, _WIPE_ALGORITHM_INVALID = -EINVAL } WipeAlgorithm;
DECLARE_ENUM(WipeAlgorithm, wipe_algorithm);
