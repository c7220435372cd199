/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon.h"
#include "logs.h"

#define LOG1_NAME "org.virtbus.log1"
#define LOG1_ROOT "/org/virtbus/log1"
#define LOG1_MANAGER LOG1_NAME ".Manager"
#define LOG1_LOG LOG1_NAME ".Log"

/* polkit actions, as in dbus-interfaces/org.virtbus.log1.policy */
#define ACTION_WRITE LOG1_NAME ".write"
#define ACTION_READ LOG1_NAME ".read"

typedef struct Service {
        Daemon *daemon;
        Bus *bus;
        Settings settings;
        Logs *logs;
        bool announcing;      /* false while logs are loaded: nobody can listen yet */
} Service;

extern const BusObject *const service_objects[];
extern const DaemonSpec service_spec;

/* Objects get the Daemon as userdata. */
static inline Service *service_of(void *userdata) {
        return daemon_state(userdata);
}
