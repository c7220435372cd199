/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "../def/pool-info.h"
#include "definitions.h"
#include "fault.h"
#include "worker.h"

typedef struct Pools Pools;
typedef struct Pool Pool;
typedef struct Volume Volume;
typedef struct Work Work;

typedef enum PoolState { POOL_INACTIVE, POOL_STARTING, POOL_ACTIVE, POOL_STOPPING, POOL_UNREACHABLE, POOL_BROKEN, _POOL_STATE_MAX,
                         _POOL_STATE_INVALID = -EINVAL } PoolState;
DECLARE_ENUM(PoolState, pool_state);

/* One pool: its definition, and while it is active what is in it. Owned by the Pools. */
struct Pool {
        DEFINED_MEMBERS(Pools, PoolDef);
        bool active;                 /* its volumes are known */
        Fault unreachable;           /* why it can't be worked with now, though it is active */
        bool mounted_by_us, started_by_us; /* so it is ours to undo; noted before it is done, for whoever comes after our death */

        uint64_t capacity, allocation, available;
        bool below_watermark;
        struct VolumeTable *volumes; /* see volumes.h */
        json_t *formats;             /* see formats.h */
        char **creating;             /* names of volumes that are being made */
        Work *works;                 /* what is under way and takes long */

        int secret;                  /* what it logs in with, a memfd; -1: nothing */
        struct PoolSecret *secret_wait;

        Worker *worker;
        struct PoolWatch *watch;     /* NULL: nothing tells of changes */
        struct PoolWaiter *waiters;  /* for the end of a start */
        struct PoolOperation *operation; /* a start, stop, build or delete under way */
        bool watch_lost;             /* the folder that is watched is not the one that is there */
        struct PoolRefresh *refreshes; /* those who wait for one */
        bool refreshing;
        sd_event_source *check;      /* every now and then */
};

/* One volume. */
struct Volume {
        Pool *pool;
        VolumeInfo info;
        char *id;                    /* its name as a part of an object path */
        Work *work;                  /* what is done with it; NULL: nothing */
        const char *busy;            /* the same for what does not take long */
        char **used_by;              /* VMs */
        bool seen;                   /* by the refresh that is under way */
};

static inline const PoolDef *pool_def(const Pool *p) {
        return p->live ?: p->config;
}
PoolState pool_state(const Pool *p);
/* udev tells of what happens to its volumes. */
bool pool_has_devices(const Pool *p);

/* --- what is done with it --- */

int pool_start(Pool *p, DefinedDone done, void *userdata, Fault *f);
/* Starts it, or waits until the start that is under way is over. */
int pool_when_active(Pool *p, DefinedDone done, void *userdata, Fault *f);
int pool_stop(Pool *p, DefinedDone done, void *userdata, Fault *f);
/* Makes what it is made of: `format`: also a file system or the like; `overwrite`: over what is there. */
int pool_build(Pool *p, bool format, bool overwrite, DefinedDone done, void *userdata, Fault *f);
/* Removes what it is made of; it must be inactive. */
int pool_destroy(Pool *p, DefinedDone done, void *userdata, Fault *f);
/* Takes up one that an earlier life of this daemon has started, or `was_starting`. Takes over `live`. */
int pool_adopt(Pool *p, PoolDef *live, bool was_starting, Fault *f);
bool pool_is_starting(const Pool *p);
/* From now on that is ours to undo, whatever becomes of us. */
int pool_note_ours(Pool *p, bool *what, Fault *f);
/* Frees what it holds, and lets all be. */
void pool_clear(Pool *p);

/* FAULT_INVALID_STATE, or why it can't be reached. */
int pool_check_active(const Pool *p, Fault *f);

/* It is known who uses what. */
void pool_uses_known(Pool *p);
