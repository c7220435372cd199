/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fault.h"

/* Opening one file of a user, for the worker: may block. All faults start with "PATH: " and name the folder that refused. */
typedef struct ImageFile {
        int fd;
        bool block_device;
        uint64_t dev, inode;
        uint64_t size, allocation; /* where it ends; what it takes on its file system */
} ImageFile;
#define IMAGE_FILE_INIT ((ImageFile) { .fd = -1 })

void image_file_clear(ImageFile *f);

/* Regular files and block devices only; pipes, terminals and other devices are refused unopened. */
int image_file_open(const char *path, bool writable, ImageFile *ret, Fault *f);
/* A file for output, created (0600) if it is missing; emptied unless `append`. Existing ones must be regular files. */
int image_file_open_output(const char *path, bool append, ImageFile *ret, Fault *f);
/* Replaces the descriptor by a sealed memfd with the content, at most `max` bytes. */
int image_file_to_memfd(const char *path, ImageFile *file, uint64_t max, Fault *f);
/* Creates `path` (0600) from a copy of `from` unless it is there; nobody ever sees half of it. */
int image_file_create(const char *path, const char *from, Fault *f);
