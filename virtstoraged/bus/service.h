/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/queue.h>

#include "../run/pools.h"
#include "../run/secrets.h"
#include "daemon.h"
#include "definitions-bus.h"

#define STORAGE1_MANAGER STORAGE1_NAME ".Manager"
#define STORAGE1_POOL STORAGE1_NAME ".Pool"
#define STORAGE1_VOLUME STORAGE1_NAME ".Volume"
#define STORAGE1_SECRET STORAGE1_NAME ".Secret"

/* polkit actions, as in dbus-interfaces/org.virtbus.storage1.policy */
#define ACTION_MANAGE STORAGE1_NAME ".manage"
#define ACTION_VOLUME_DATA STORAGE1_NAME ".volume-data"
#define ACTION_SECRETS STORAGE1_NAME ".manage-secrets"

#define POOL_PATH_MAX DEFINED_PATH_MAX

typedef struct Service {
        Daemon *daemon;
        Bus *bus;
        Jobs *jobs;
        Settings settings;
        Secrets *secrets;
        Pools *pools;
        LIST_HEAD(, Find) finds;       /* find-bus.c: what is being looked for */
} Service;

extern const BusObject *const service_objects[];
extern const DaemonSpec service_spec;
extern const BusObject manager_object, pool_object, volume_object, secret_object;

/* Objects get the Daemon as userdata. */
static inline Service *service_of(void *userdata) {
        return daemon_state(userdata);
}

extern const DefinedBus pool_bus;
/* Of its object, in the buffer. */
static inline const char *pool_path(const Pool *p, char buffer[static POOL_PATH_MAX]) {
        return defined_path(&pool_bus, p, buffer);
}

/* What Manager and Pool have in common; answers the call, now or later. */
int pool_stop_call(Pool *p, sd_bus_message *m, sd_bus_error *error);

/* For signals. */
void volume_bus_changed(Bus *b, const Volume *v, unsigned what);
