/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "macro.h"

/* A folder of dumps that has a largest size. Only files whose names end in a time and ".dump", as ours do, count and are ever removed;
 * that of a dump which is not whole has ".part" behind it. */
typedef struct DumpFolder {
        int fd;
        uint64_t largest;            /* bytes, of all dumps together */
        uint64_t keep_free;          /* of its file system */
        char *part;                  /* the one that is being written */
} DumpFolder;

/* Makes the folder if it is not there. */
int dump_folder_open(const char *path, uint64_t largest, DumpFolder *ret);
void dump_folder_close(DumpFolder *d);

/* Whether so many bytes could be written, at the cost of older dumps. -EFBIG: more than all may have; -ENOSPC. */
int dump_folder_check(const DumpFolder *d, uint64_t bytes);
/* Removes the oldest dumps until so many more bytes can be. -EFBIG or -ENOSPC when none is left. */
int dump_folder_make_room(const DumpFolder *d, uint64_t bytes);

/* A new file, for writing: it has that name once it was kept. */
int dump_folder_create(DumpFolder *d, const char *name);
int dump_folder_keep(DumpFolder *d, const char *name);

/* Whether it is the name of a dump, or of a part of one. */
bool dump_folder_is_ours(const char *name);
