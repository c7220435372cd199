/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/vsock.h"

/* The kernel's end of a guest's vsock, which has its number from then on: that of the definition, or the first free one, which is written into it.
 * A descriptor; FAULT_NOT_SUPPORTED, FAULT_INVALID_STATE. */
int vsock_open(Vsock *v, const char *domain, Fault *f);
