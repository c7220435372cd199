/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "operation.h"

/* The guest's memory into a file, for crash(8) and its like. The guest stands meanwhile. */

/* `format` is one of QEMU's: "elf", "kdump-zlib", …; `fd` is borrowed and what it is written to, from where it stands on. */
int dump_guest(Domain *d, const char *format, int fd, Operation **ret, Fault *f);

bool dump_is_under_way(const Domain *d);
/* From the monitor: DUMP_COMPLETED. */
void dump_completed(Domain *d, const json_t *data);
