/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guestlog.h"

/* All logs, open and closed, and what is written down about them so that the next process knows them. */
typedef struct Logs Logs;

#define LOGS_MAX 8192u

typedef struct LogsOptions {
        sd_event *event;
        const Settings *settings;
        bool user;
        const char *log_dir, *run_dir, *state_dir;             /* ending in "virtbus"; copied */
        void (*added)(Guestlog *g, void *userdata);
        void (*removed)(Guestlog *g, void *userdata);
        void (*changed)(Guestlog *g, void *userdata);
        void (*busy)(bool busy, void *userdata);                /* whether any log is open */
        void *userdata;
} LogsOptions;

int logs_new(const LogsOptions *options, Logs **ret);
/* Leaves open logs to the next process. */
Logs *logs_free(Logs *l);
DEFINE_CLEANUP(Logs *, logs_free)
/* Takes up what the last process has left. */
int logs_load(Logs *l);

/* Opens a log, which is made if there is none. A limit of 0 (size) or UINT_MAX (backups) is taken from the settings. */
int logs_open(Logs *l, const GuestlogSpec *spec, int *ret_fd, Fault *f);
/* FAULT_NO_SUCH_LOG. */
int logs_find(Logs *l, sd_id128_t uuid, const char *name, Guestlog **ret, Fault *f);
Guestlog *logs_find_key(Logs *l, const char *key);
/* The one after `g`; NULL gives the first. */
Guestlog *logs_next(Logs *l, const Guestlog *g);
