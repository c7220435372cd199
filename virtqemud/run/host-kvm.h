/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* Whether there is a KVM behind /dev/kvm, and we may use it. A file of that name alone is none. */
bool host_has_kvm(void);
