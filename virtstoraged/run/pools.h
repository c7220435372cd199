/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "device-watch.h"
#include "job.h"
#include "pool-run.h"
#include "registry.h"
#include "secrets.h"
#include "settings.h"
#include "store.h"
#include "uses.h"

#define STORAGE1_NAME "org.virtbus.storage1"
#define STORAGE1_ROOT "/org/virtbus/storage1"
#define POOLS_MAX 1000u

typedef enum PoolChange {
        POOL_CHANGED_STATE     = 1 << 0,
        POOL_CHANGED_CONFIG    = 1 << 1,
        POOL_CHANGED_AUTOSTART = 1 << 2,
        POOL_CHANGED_SPACE     = 1 << 3,
} PoolChange;

typedef enum VolumeChange {
        VOLUME_CHANGED_INFO    = 1 << 0,
        VOLUME_CHANGED_USED_BY = 1 << 1,
} VolumeChange;

/* What bus/ wants to hear. */
typedef struct PoolWatcher {
        void (*added)(Pool *p, void *userdata);
        void (*removed)(Pool *p, void *userdata);        /* still whole */
        void (*changed)(Pool *p, unsigned what, void *userdata);
        void (*watermark)(Pool *p, void *userdata);      /* it is nearly full */
        void (*volume_added)(Volume *v, void *userdata);
        void (*volume_removed)(Volume *v, void *userdata);
        void (*volume_changed)(Volume *v, unsigned what, void *userdata);
        void (*busy)(bool busy, void *userdata);
} PoolWatcher;

/* All pools of the host, or of a user. */
struct Pools {
        sd_event *event;
        sd_bus *bus;                 /* NULL without a message bus */
        bool user;                   /* of a session */
        bool by_unit;                /* systemd runs: it mounts */
        char *tag;                   /* of our unfinished files */
        Settings *settings;
        Registry *registry;
        Store *configs, *autostarts, *statuses, *formats;
        Jobs *jobs;
        Secrets *secrets;
        Uses *uses;
        DeviceWatch *devices;        /* NULL: no pool needs it */
        PoolWatcher watcher;
        void *watcher_userdata;
        bool loading, was_busy;
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
/* The definitions that were changed by hand. Active pools stay as they are until they are started again. */
int pools_reload(Pools *s);

/* By name or UUID. FAULT_NO_SUCH_POOL. */
int pools_find(Pools *s, const char *name, Pool **ret, Fault *f);
Pool *pools_find_uuid(Pools *s, sd_id128_t uuid);
/* By where it is. FAULT_NO_SUCH_VOLUME. */
int pools_find_volume(Pools *s, const char *path, Volume **ret, Fault *f);

/* A new definition, or another one for a pool that is there. `expect`: it must be of that one. */
int pools_define(Pools *s, const char *text, size_t length, bool validate_only, const Pool *expect, Pool **ret, Fault *f);
/* A pool that is gone when it is stopped; it is not started yet. */
int pools_add_transient(Pools *s, const char *text, size_t length, Pool **ret, Fault *f);
int pools_undefine(Pool *p, Fault *f);
int pools_set_autostart(Pool *p, bool on, Fault *f);

/* For files beside this one. From here on pools of devices follow what happens to them. */
void pools_watch_devices(Pools *s);
void pools_save(Pool *p);
void pools_changed(Pool *p, unsigned what);
/* A transient pool that has ended goes. */
void pools_settle(Pool *p);
void pools_busy_changed(Pools *s);
void pools_volume_added(Volume *v);
void pools_volume_removed(Volume *v);
void pools_volume_changed(Volume *v, unsigned what);
