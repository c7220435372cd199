/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/memory-encryption.h"

/* Asks the kernel, by files that it makes when they are read. What can't be read is not there. */
void host_encryption_read(HostEncryption *ret);
