/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* A file that is rotated by size: PATH, PATH.0 (newer) … PATH.N-1 (older). It is filled from a pipe by splice(), which takes bytes out of
 * the pipe as it writes them: whenever this process dies, what is in neither the file nor the pipe is nothing, and nothing is in both. */
typedef struct Logfile Logfile;

/* Lines of up to that many bytes are never split by a rotation. */
#define LOGFILE_WHOLE_LINE 4096u
#define LOGFILE_SIZE_MIN (4 * LOGFILE_WHOLE_LINE)
#define LOGFILE_BACKUPS_MAX 100u

typedef struct LogfileLimits {
        uint64_t size;          /* of one file, bytes */
        unsigned backups;       /* kept besides it */
} LogfileLimits;

/* Opens or creates it (0600) with its folder (0700). `first` is the number that its first kept byte has in the stream of all bytes ever
 * written; only differences of such numbers mean anything. */
int logfile_open(const char *path, const LogfileLimits *limits, uint64_t first, Logfile **ret);
Logfile *logfile_free(Logfile *l);
DEFINE_CLEANUP(Logfile *, logfile_free)

/* Called before the first kept byte's number changes, so that it can be written down; may fail the rotation. */
typedef int (*LogfileRotating)(uint64_t first, void *userdata);
void logfile_on_rotation(Logfile *l, LogfileRotating rotating, void *userdata);

/* Moves at most `max` of the `available` bytes of a pipe into the file, and rotates as needed. Returns how many; 0 if it only rotated.
 * -ENOSPC and the like: nothing was taken. */
ssize_t logfile_fill(Logfile *l, int pipe, size_t available, size_t max);
/* Adds a line of our own. */
int logfile_note(Logfile *l, const char *line);
int logfile_rotate(Logfile *l);
void logfile_set_limits(Logfile *l, const LogfileLimits *limits);

const char *logfile_path(const Logfile *l);
/* Numbers in the stream: the first byte that is kept, and the one after the last. */
uint64_t logfile_first(const Logfile *l);
uint64_t logfile_end(const Logfile *l);

/* Where to read: a descriptor and the offset in it for byte number `at`, and how many bytes follow there. Bytes that are not kept any
 * more are skipped: *at is moved. -ENODATA at the end of the stream. */
typedef struct LogfilePlace {
        int fd;                 /* the caller's */
        off_t offset;
        uint64_t length;
} LogfilePlace;
int logfile_seek(const Logfile *l, uint64_t *at, LogfilePlace *ret);
