/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"

/* What every daemon's main() does: options, loop, signals, folders, readiness, watchdog, idle exit. */
typedef struct Daemon Daemon;

typedef struct DaemonSpec {
        const char *name;                /* "virtqemud" */
        const char *bus_name;            /* "org.virtbus.qemu1" */
        const char *root;                /* "/org/virtbus/qemu1" */
        const char *description;         /* one line for --help */
        const BusObject *const *objects; /* ends in NULL */
        const char *for_strangers;       /* see BusOptions */
        /* Makes the daemon's own state, before anybody can call, and takes what the last process kept (fdstore.h).
         * The objects' userdata is the Daemon; daemon_state() leads on. */
        int (*start)(Daemon *d, void **ret);
        /* Whether what was begun is still on its way: the bus name is asked for when it is not, or after a second. May be NULL. */
        bool (*starting)(void *state);
        /* After the bus name was asked for: what takes longer. May be NULL. */
        int (*started)(void *state);
        void (*stop)(void *state);
        int (*reload)(void *state);      /* SIGHUP; may be NULL */
} DaemonSpec;

int daemon_run(const DaemonSpec *spec, int argc, char *argv[]);

/* What it is before and after its loop, for who turns that himself: `user` as with --session. There is one in a process at a time. */
int daemon_new(const DaemonSpec *spec, bool user, Daemon **ret);
Daemon *daemon_free(Daemon *d);

void *daemon_state(Daemon *d);
sd_event *daemon_event(Daemon *d);
Bus *daemon_bus(Daemon *d);
bool daemon_is_user(const Daemon *d);
/* Folders ending in "virtbus"; the runtime one exists. */
const char *daemon_config_dir(const Daemon *d);
const char *daemon_state_dir(const Daemon *d);
const char *daemon_run_dir(const Daemon *d);
const char *daemon_cache_dir(const Daemon *d);
const char *daemon_log_dir(const Daemon *d);
/* "RUN/NAME.sock". */
const char *daemon_socket(const Daemon *d);

/* While true the daemon does not end for having nothing to do. */
void daemon_set_busy(Daemon *d, bool busy);
