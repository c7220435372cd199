/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon.h"
#include "lockspaces.h"

#define LOCK1_NAME "org.virtbus.lock1"
#define LOCK1_ROOT "/org/virtbus/lock1"
#define LOCK1_MANAGER LOCK1_NAME ".Manager"
#define LOCK1_LOCKSPACE LOCK1_NAME ".Lockspace"

/* polkit actions, as in dbus-interfaces/org.virtbus.lock1.policy */
#define ACTION_ACQUIRE LOCK1_NAME ".acquire"
#define ACTION_MANAGE LOCK1_NAME ".manage"
#define ACTION_READ LOCK1_NAME ".read"

typedef struct Service {
        Daemon *daemon;
        Bus *bus;
        Settings settings;
        Lockspaces *lockspaces;
} Service;

extern const BusObject *const service_objects[];
extern const DaemonSpec service_spec;

/* Objects get the Daemon as userdata. */
static inline Service *service_of(void *userdata) {
        return daemon_state(userdata);
}

/* Of its object; NULL: out of memory. */
char *lockspace_object(const Lockspace *l);
