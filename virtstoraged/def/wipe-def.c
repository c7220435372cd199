/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wipe-def.h"

DEFINE_ENUM(WipeAlgorithm, wipe_algorithm, "zero", "nnsa", "dod", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33", "random", "trim")
