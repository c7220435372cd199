/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CPU_SET_MAX 8192u

/* "0-3,^2,8", of CPUs or nodes, as bits; at least one is set. -EINVAL. */
int cpu_set_read(const char *text, uint8_t **ret, size_t *ret_n);
