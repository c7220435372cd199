/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "instance.h"

/* QEMU closes what is removed from its sets of descriptors only while its guest runs: a disk that was taken from a paused one stays open, its
 * lease held, and no event of QEMU's own changes that later. Once the guest runs, has it look again at each set. */
void fd_sweep(Instance *i);
