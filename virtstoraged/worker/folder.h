/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "../def/pool-info.h"
#include "fault.h"

/* A pool whose volumes are files in a folder. Everything here may block. */
typedef struct Folder {
        const PoolDef *def;
        const json_t *formats;       /* name -> format, where it is said; NULL: nowhere */
        int fd;                      /* of the folder */
        uid_t owner;
        bool remote;                 /* on a server */
} Folder;
#define FOLDER_INIT ((Folder) { .fd = -1 })

/* Begins the name of what is not finished yet; behind it stand whose it is and a word by chance. */
#define FOLDER_PART_PREFIX ".virtbus-part."

int folder_open(Folder *d, const PoolDef *def, const json_t *formats, Fault *f);
void folder_close(Folder *d);

/* All volumes, and how full the file system is. Calls for each; a negative answer ends it. */
typedef int (*FolderFound)(VolumeInfo *v, void *userdata);
int folder_scan(const Folder *d, FolderFound found, void *userdata, Fault *f);
/* One of them; -ENOENT: there is none of that name (any more). */
int folder_look(const Folder *d, const char *name, VolumeInfo *ret, Fault *f);
/* The same of a file that is to become one. */
int folder_look_part(const Folder *d, const char *part, const char *name, VolumeFormat format, VolumeInfo *ret, Fault *f);
int folder_space(const Folder *d, PoolInfo *ret, Fault *f);

/* Opens a volume's file, and nothing else. */
int folder_open_volume(const Folder *d, const char *name, bool writable, Fault *f);

/* What it seems to be, by what is in it; only for somebody who has asked for that. */
int folder_guess(const Folder *d, const char *name, VolumeFormat *ret, Fault *f);

/* What is left of work that nobody goes on with: everything of ours (`tag`) but what is in `busy`. */
int folder_tidy(const Folder *d, const char *tag, const json_t *busy);

/* FAULT_POOL, or what fits better, about a file in it. */
int folder_fault(const Folder *d, const char *name, const char *what, int error, Fault *f);
