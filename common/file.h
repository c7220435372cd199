/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* All of these touch only our own folders (/etc, /run, /var/lib, …/virtbus), never a user's path: they may block. */

/* Replaces `path` atomically: temporary name in the same folder, write, fsync, rename, fsync of the folder. After a crash there
 * is the old or the new file. */
int file_write_atomic(const char *path, const void *data, size_t length, mode_t mode);

/* Reads a whole file of at most `max` bytes; -EFBIG beyond, -EISDIR for a folder. Follows no final symlink. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_length);

/* Returns when it is sure that what was made, renamed or removed at `path` stays so, even if the power fails now. */
int file_sync_name(const char *path);

/* Creates the folder and its missing parents with `mode`; existing ones keep theirs. They are there after a power cut, too. */
int mkdir_parents(const char *path, mode_t mode);

/* Removes a folder with all that is in it; symbolic links are not followed, and a missing one is fine. */
int tree_remove(const char *path);

/* Removes the name and syncs the folder; a missing file is fine. */
int file_remove(const char *path);
