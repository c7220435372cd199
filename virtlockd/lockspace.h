/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "settings.h"
#include "lease-worker.h"

/* A folder of lock files, and what is known of the leases that this host has in it. The files are the truth; this is kept so that loss
 * can be told, and a lock file that was taken away under a lease does not lead to a second one. */
typedef struct Lockspace Lockspace;

typedef enum LockspaceState {
        LOCKSPACE_OPENING,       /* nobody has looked yet */
        LOCKSPACE_ACTIVE,
        LOCKSPACE_LOST,          /* the folder can't be used */
        LOCKSPACE_UNREACHABLE,   /* the file system does not answer */
        _LOCKSPACE_STATE_MAX,
        _LOCKSPACE_STATE_INVALID = -EINVAL,
} LockspaceState;
DECLARE_ENUM(LockspaceState, lockspace_state);

/* Shared by all lockspaces. */
typedef struct LockspaceContext {
        sd_event *event;
        const Settings *settings;
        char *host;
        void (*changed)(Lockspace *l, void *userdata);                /* state, error or number of leases */
        void (*busy)(Lockspace *l, void *userdata);                   /* lockspace_is_busy() may be another now */
        void (*lost)(Lockspace *l, const char *resource, const Lease *lease, void *userdata);
        void *userdata;
} LockspaceContext;

/* `builtin`: can't be removed. */
int lockspace_new(const LockspaceContext *c, const char *name, const char *path, bool builtin, Lockspace **ret);
Lockspace *lockspace_free(Lockspace *l);
DEFINE_CLEANUP(Lockspace *, lockspace_free)
/* Takes up what an earlier process knew, and looks what is there. */
int lockspace_load(Lockspace *l);

const LockspaceContext *lockspace_context(const Lockspace *l);
const char *lockspace_name(const Lockspace *l);
const char *lockspace_path(const Lockspace *l);
bool lockspace_is_builtin(const Lockspace *l);
LockspaceState lockspace_state(const Lockspace *l);
const char *lockspace_error(const Lockspace *l);          /* why it is not active; "" */
/* Of this host. */
size_t lockspace_leases(const Lockspace *l);
/* Whether there are leases, or requests under way. */
bool lockspace_is_busy(const Lockspace *l);

/* Exactly once, never from within the call. `fd` is taken by TAKE_FD() from *fd, or closed; -1 with `why`. */
typedef void (*LeaseDone)(int *fd, const Fault *why, void *userdata);
/* FAULT_INVALID_ARGS, FAULT_LIMIT at once; FAULT_LEASE_HELD, FAULT_LOCKSPACE, FAULT_TIMEOUT later. */
int lockspace_acquire(Lockspace *l, const char *resource, const Lease *lease, LeaseDone done, void *userdata, Fault *f);
/* `fd` is copied. */
int lockspace_transfer(Lockspace *l, const char *resource, const Lease *lease, int fd, LeaseDone done, void *userdata, Fault *f);

/* What is in the folder now, of all hosts; and where that can't be seen, what is known, and `why`. */
typedef void (*LeaseFunc)(const Lockspace *l, const char *resource, const Lease *lease, void *userdata);
typedef void (*ListDone)(Lockspace *l, const Fault *why, void *userdata);
int lockspace_list(Lockspace *l, LeaseFunc found, ListDone done, void *userdata, Fault *f);
