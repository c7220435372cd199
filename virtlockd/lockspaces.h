/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "lockspace.h"

/* All lockspaces, and the file each has in STATE/lockspaces. */
typedef struct Lockspaces Lockspaces;

#define LOCKSPACES_MAX 256u
#define LOCKSPACE_DEFAULT "default"

typedef struct LockspacesOptions {
        LockspaceContext context;        /* the host is filled in */
        const char *state_dir;           /* ending in "virtbus" */
        void (*added)(Lockspace *l, void *userdata);
        void (*removed)(Lockspace *l, void *userdata);     /* still whole */
        void (*busy)(bool busy, void *userdata);
        void *userdata;
} LockspacesOptions;

int lockspaces_new(const LockspacesOptions *options, Lockspaces **ret);
Lockspaces *lockspaces_free(Lockspaces *s);
DEFINE_CLEANUP(Lockspaces *, lockspaces_free)
/* The default one, and those that were added. */
int lockspaces_load(Lockspaces *s);

/* FAULT_NO_SUCH_LOCKSPACE. */
int lockspaces_find(Lockspaces *s, const char *name, Lockspace **ret, Fault *f);
Lockspace *lockspaces_peek(Lockspaces *s, const char *name);
/* The one after `l`; NULL gives the first. */
Lockspace *lockspaces_next(Lockspaces *s, const Lockspace *l);

/* Exactly once, never from within lockspaces_add(): the folder can be used, or why not; then there is no such lockspace. */
typedef void (*LockspaceAdded)(Lockspace *l, const Fault *why, void *userdata);
/* FAULT_LOCKSPACE_EXISTS, FAULT_INVALID_ARGS, FAULT_LIMIT at once. */
int lockspaces_add(Lockspaces *s, const char *name, const char *path, LockspaceAdded done, void *userdata, Fault *f);
/* FAULT_BUSY: there are leases. */
int lockspaces_remove(Lockspace *l, Fault *f);
