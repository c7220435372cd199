/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "operation.h"

/* The guest's memory into a file, for crash(8) and its like. The guest stands meanwhile. */

/* `format` is one of QEMU's: "elf", "kdump-zlib", …; `fd` is borrowed and what it is written to, from where it stands on. */
int dump_guest(Domain *d, const char *format, int fd, Operation **ret, Fault *f);

/* Into what that program makes a file of - argv[1] is its folder, argv[2] its name -, which has a socket as descriptor 3 where a byte tells it
 * that all is there; as small as this QEMU can, or as "elf". The program and its words are copied. `done`: exactly once, later, unless this
 * daemon ends before; with the file, or why there is none. */
typedef void (*DumpDone)(Domain *d, const char *file, const Fault *why);
int dump_guest_to(Domain *d, char *const argv[], DumpDone done, Fault *f);

bool dump_is_under_way(const Domain *d);
/* QEMU was not watched for a while: if nobody dumps it closes what an earlier life of this daemon may have given it for that. */
void dump_look(Domain *d);
/* From the monitor: DUMP_COMPLETED. */
void dump_completed(Domain *d, const json_t *data);
