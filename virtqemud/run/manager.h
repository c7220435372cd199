/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/queue.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "../def/settings.h"
#include "../device/args.h"
#include "../plan/domain.h"
#include "caps-probe.h"
#include "domain.h"
#include "registry.h"
#include "store.h"

/* Folders of this daemon, each ending in "virtbus". */
typedef struct ManagerDirs {
        const char *config, *state, *run, *cache, *log;
} ManagerDirs;

typedef struct AutostartCall AutostartCall;
typedef struct Defining Defining;
typedef struct LeftUnit LeftUnit;
typedef struct LimitsReset LimitsReset;

#define DOMAINS_MAX 20000u   /* definitions one daemon holds */

/* All domains of one daemon, and what they share. */
struct Manager {
        sd_event *event;
        sd_bus *bus;                 /* where systemd and machined are asked; NULL without a bus */
        sd_bus *system_bus;          /* of a session that has asked for a network */
        sd_bus_slot *networks_heard, *networkd_heard; /* NetworkStarted of virtnetworkd, and itself */
        sd_bus_slot *addresses_heard; /* AddressesChanged of virtnetworkd */
        bool user;                   /* session mode */
        bool by_unit;                /* VMs are systemd units; else we launch the supervisors ourselves */
        ManagerDirs dirs;
        char *peer_socket;           /* where supervisors fetch their plans */
        char *supervisor, *image_worker, *copier; /* our helper programs */
        uid_t launch_uid;            /* who supervisors run as that we launch ourselves; 0: as we do */
        gid_t launch_gid;
        char *arch, *emulator, *nvram_folder, *certificates, *vnc_certificates; /* what `defaults` points to */
        char *memory_folder;                  /* for memory of guests that is a file */
        Settings settings;
        DomainDefaults defaults;

        Registry *domains;
        Store *configs, *statuses;
        CapsStore *caps;
        sd_bus_slot *unit_files;
        bool logs_silent;            /* virtlogd has not answered the last time */
        struct LogGuard *log_guard;
        struct LeaseGuard *lease_guard;
        struct HostSleep *host_sleep;
        AutostartCall *autostart_calls;
        LIST_HEAD(, LimitsReset) limits_resets; /* limits of runs that are over, to be taken back */
        LIST_HEAD(, LeftUnit) left_units;       /* whose failure is to be forgotten */
        sd_event_source *status_again; /* some domain's could not be kept */
        Defining *defining;          /* definitions that wait for capabilities */
        unsigned last_operation;
        struct Sampler *sampler;     /* once somebody wanted statistics */

        DomainWatch watch;
        void *watch_userdata;
        unsigned busy;               /* instances and operations that there are */
        bool was_busy;
};

typedef struct ManagerOptions {
        sd_event *event;
        sd_bus *bus;
        bool user;
        ManagerDirs dirs;
        const char *peer_socket;
        DomainWatch watch;
        void *watch_userdata;
} ManagerOptions; /* strings are copied, but for the folders' */

/* Whether QEMU is put into a network namespace of its own, which is empty: by its unit, or by us where we may. */
static inline bool manager_confines(const Manager *m) {
        return !m->user && (m->by_unit || geteuid() == 0);
}

static inline unsigned manager_launch_flags(const Manager *m) {
        return (manager_confines(m) ? LAUNCH_NO_NETWORK : 0u) | (m->settings.log_consoles ? LAUNCH_LOG_CONSOLES : 0u);
}

/* Where virtnetworkd is, which serves the host also for sessions; NULL: nowhere. */
sd_bus *manager_network_bus(Manager *m);

int manager_new(const ManagerOptions *options, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free)

/* Reads all definitions, adopts what runs, starts what is to be started by us. */
int manager_load(Manager *m);
/* Where memory of guests is that is a file. */
static inline const char *manager_memory_folder(const Manager *m) {
        return m->settings.memory_folder ?: m->memory_folder;
}

/* Reads the settings and definitions again: new files appear, changed ones of inactive domains are taken. */
int manager_reload(Manager *m);

Domain *manager_find(Manager *m, const char *name_or_uuid);
Domain *manager_find_name(Manager *m, const char *name);
Domain *manager_find_uuid(Manager *m, sd_id128_t uuid);
Domain *manager_find_pid(Manager *m, pid_t pid);

int manager_link(Manager *m, Domain *d);
void manager_unlink(Manager *m, Domain *d);
/* What the unit needed for a user of its own (unit-user.h): it stands for no domain any more. */
void manager_forget_user(const Manager *m, const char *unit);
/* Takes over the name. */
int manager_relink(Manager *m, Domain *d, char *new_name);
int manager_reidentify(Manager *m, Domain *d, sd_id128_t uuid);
/* A definition without <uuid> that names a known domain is a new version of that one. */
int manager_keep_identity(Manager *m, DomainDef *def);

/* Whether anything runs or is under way, so that the daemon must not go idle. */
bool manager_is_busy(const Manager *m);
/* Something ended or began: tells DomainWatch.busy when the answer is another one now. */
void manager_busy_changed(Manager *m);
