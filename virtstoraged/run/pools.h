/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device-watch.h"
#include "job.h"
#include "pool-run.h"
#include "secrets.h"
#include "settings.h"
#include "uses.h"

#define STORAGE1_NAME "org.virtbus.storage1"
#define STORAGE1_ROOT "/org/virtbus/storage1"
#define POOLS_MAX 1000u

typedef enum PoolChange {
        POOL_CHANGED_STATE     = DEFINED_CHANGED_STATE,
        POOL_CHANGED_CONFIG    = DEFINED_CHANGED_CONFIG,
        POOL_CHANGED_AUTOSTART = DEFINED_CHANGED_AUTOSTART,
        POOL_CHANGED_SPACE     = DEFINED_CHANGED_MORE,
} PoolChange;

typedef enum VolumeChange {
        VOLUME_CHANGED_INFO    = 1 << 0,
        VOLUME_CHANGED_USED_BY = 1 << 1,
} VolumeChange;

/* What bus/ wants to hear. */
typedef struct PoolWatcher {
        DefinitionsWatch pools;
        void (*watermark)(Pool *p, void *userdata);      /* it is nearly full */
        void (*volume_added)(Volume *v, void *userdata);
        void (*volume_removed)(Volume *v, void *userdata);
        void (*volume_changed)(Volume *v, unsigned what, void *userdata);
        void (*busy)(bool busy, void *userdata);
} PoolWatcher;

/* All pools of the host, or of a user. How they are defined and undefined: definitions.h, with `set`. */
struct Pools {
        Definitions set;
        sd_event *event;
        sd_bus *bus;                 /* NULL without a message bus */
        bool user;                   /* of a session */
        bool by_unit;                /* systemd runs: it mounts */
        char *tag;                   /* of our unfinished files */
        Settings *settings;
        Store *formats;
        Jobs *jobs;
        Secrets *secrets;
        Uses *uses;
        DeviceWatch *devices;        /* NULL: no pool needs it */
        PoolWatcher watcher;
        void *watcher_userdata;
        bool was_busy;
};

typedef struct PoolsOptions {
        sd_event *event;
        sd_bus *bus;
        bool user;
        Jobs *jobs;
        Secrets *secrets;
        Settings *settings;          /* all stay the caller's */
        const char *config_dir, *run_dir, *state_dir;
        PoolWatcher watcher;
        void *watcher_userdata;
} PoolsOptions;

int pools_new(const PoolsOptions *options, Pools **ret, Fault *f);
/* All pools stay as they are. */
Pools *pools_free(Pools *s);
DEFINE_CLEANUP(Pools *, pools_free)
/* Reads definitions, takes up what is active, starts what is to be. */
int pools_load(Pools *s);

/* By where it is. FAULT_NO_SUCH_VOLUME. */
int pools_find_volume(Pools *s, const char *path, Volume **ret, Fault *f);

/* For files beside this one. From here on pools of devices follow what happens to them. */
void pools_watch_devices(Pools *s);
void pools_changed(Pool *p, unsigned what);
void pools_busy_changed(Pools *s);
void pools_volume_added(Volume *v);
void pools_volume_removed(Volume *v);
void pools_volume_changed(Volume *v, unsigned what);
