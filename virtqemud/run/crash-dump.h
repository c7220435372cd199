/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "instance.h"

/* on_crash='coredump-destroy' and 'coredump-restart': the memory of a guest that has crashed goes into a file of a folder that has a largest
 * size, and then it is what the second word says. That follows also if there was no room, which is a warning of the domain. */

/* Its guest has panicked and QEMU waits, perhaps since before we were started. Does nothing for other domains. */
void crash_dump(Instance *i);
