/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lease.h"

/* The files of a lockspace: one per resource, in one folder. Everything here waits for the file system, which may be a server's: it is
 * for the worker only.
 *
 * A lease is one open file description with two locks (F_OFD_SETLK) on its resource's file: a byte that stands for the resource, for
 * writing or reading as the lease is exclusive or shared, and a slot that holds the owner's record. Who dies loses the description, and
 * with it both: a record counts only while its slot is locked, so there are no stale ones. A third lock, held for moments, keeps
 * changes apart. Files nobody has a lease of are removed.
 *
 * A file that is deleted or replaced under a lease takes the lock along. Therefore an anchor, an O_PATH descriptor that holds on to the
 * file without being able to do anything to it, is kept for each leased resource, and asked first. */

typedef struct Owners {
        Lease *leases;
        size_t n;
        bool misplaced;      /* they hold a file that is not in the folder any more */
} Owners;
void owners_clear(Owners *o);
#define _cleanup_owners_ _cleanup_(owners_clear)

typedef struct LockFolder {
        int fd;              /* negative errno: can't be opened */
        char *path, *host;
} LockFolder;

/* Also succeeds for a folder that can't be opened, or made if `make` says so: what needs it tells. */
int lock_folder_open(const char *path, bool make, LockFolder *ret);
void lock_folder_close(LockFolder *l);
/* FAULT_LOCKSPACE: why it can't be used. */
int lock_folder_check(const LockFolder *l, Fault *f);
/* Whether it lies on a file system that a network is part of. */
bool lock_folder_is_remote(const LockFolder *l);

/* `anchor` of the resource as it is known, or -1. -EBUSY with *ret_owners saying who has it; else the lease and a new anchor. */
int lockfile_acquire(const LockFolder *l, const char *file, const Lease *lease, int anchor, int *ret_lease, int *ret_anchor,
                     Owners *ret_owners, Fault *f);
/* Gives a lease that somebody has (`fd`) another owner or mode, without anybody being able to come between. FAULT_INVALID_ARGS: no
 * lease of that resource. -EBUSY: *ret_owners have it shared as well, so it can't become exclusive. */
int lockfile_transfer(const LockFolder *l, const char *file, const Lease *lease, int fd, Owners *ret_owners, Fault *f);
/* Who has it now; a file nobody has any more is removed. */
int lockfile_look(const LockFolder *l, const char *file, int anchor, Owners *ret, Fault *f);

/* All files; `anchor` stays the caller's. `why` instead of owners for one that can't be read. */
typedef int (*LockfileFound)(const char *file, int anchor, const Owners *owners, const Fault *why, void *userdata);
int lockfile_list(const LockFolder *l, LockfileFound found, void *userdata, Fault *f);
