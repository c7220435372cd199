/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-event.h>

#include "../qmp/qmp.h"
#include "console.h"
#include "domain.h"
#include "process.h"
#include "unit.h"

/* A console of a running domain. */
typedef struct InstanceConsole {
        char *id;              /* device id */
        Console *console;
} InstanceConsole;

/* Everything about one run of a domain: its supervisor, its QEMU, its monitor. Exists from the moment something outside this process
 * may exist because of it (a folder, a unit, a process) until all of that is gone. */
struct Instance {
        Domain *domain;
        char *folder;          /* RUNDIR/qemu/UUID: its sockets */
        char *unit;            /* "virtqemu@web.service"; NULL when we launched the supervisor ourselves */
        char *machine_name;    /* as registered with machined, or NULL */

        Process supervisor, qemu;
        sd_event_source *supervisor_source, *qemu_source;

        Qmp *qmp;
        bool monitor_ready;
        sd_event_source *reconnect;
        unsigned reconnect_tries;
        sd_event_source *kill_grace;
        int64_t log_start;     /* size of QEMU's own log when this run began */
        bool log_by_daemon;    /* virtlogd writes it */

        InstanceConsole *consoles;
        size_t n_consoles;
        struct Displays *displays;
        struct Companions *companions;
        struct Unplug *unplugs; /* devices that have gone and of which something is left */
        json_t *journal;       /* records of what is being done to QEMU (plug-journal.h); NULL: none */
        struct PlugTakeUp *take_up;
        struct DomainAddresses *addresses; /* of its guest, while it has run */
        struct GuestAgent *agent;
        struct DomainStats *stats;
        struct Screenshot *screenshots; /* that are being taken */
        struct IORetry *io_retry; /* it stands for want of space */
        struct UsbReturn *usb_return; /* devices that it has not, and is to get */

        bool handed_over;      /* the plan was given away: from here on there may be a QEMU */
        bool running_guest;    /* the guest has run */
        bool terminated;       /* we were asked to kill it */
        bool shutdown_seen;    /* QEMU said SHUTDOWN … */
        bool shutdown_by_guest;
        bool panicked;
        bool lease_lost;       /* … and that is why it is to be stopped */
        bool host_sleep;       /* likewise */
};

/* Asks the QEMU of a domain, as qmp_send(); -ENOTCONN: there is none to be asked. */
int domain_ask(const Domain *d, const char *command, json_t *arguments, QmpReplyFunc reply, void *userdata, QmpRequest **ret);
Qmp *domain_qmp(const Domain *d);

int instance_new(Domain *d, Instance **ret, Fault *f);
/* Lets go of everything without ending anything: what runs goes on. */
Instance *instance_free(Instance *i);
DEFINE_CLEANUP(Instance *, instance_free)

/* "FOLDER/NAME.sock". */
char *instance_socket(const Instance *i, const char *name);
/* "FOLDER/NAME.root": what the program beside QEMU for the device of that id takes for its root. */
char *instance_root(const Instance *i, const char *name);

/* Takes the supervisor by pid (and start time, unless 0) and watches it. */
int instance_set_supervisor(Instance *i, pid_t pid, uint64_t start_time, Fault *f);
/* Finds QEMU as the supervisor's child and watches it. */
int instance_find_qemu(Instance *i, Fault *f);

/* Connects to the monitor's socket. What comes then goes to monitor.c. */
int instance_connect_monitor(Instance *i, Fault *f);
void instance_connect_consoles(Instance *i);
Console *instance_find_console(const Instance *i, const char *device_id);

/* A console that was there has gone. */
void instance_forget_console(Instance *i, const char *device_id);

/* From now on its guest's addresses are known. Again when its interfaces are others. */
void instance_watch_addresses(Instance *i);

/* QEMU is gone: removes what is left, sets the state, frees the instance. */
void instance_ended(Instance *i);
/* Only the removing and freeing; a unit that is still on its way out is remembered in Domain.leaving. */
void instance_remove(Instance *i);

/* The supervisor was told to end, and is killed when it does not. */
void instance_expect_end(Instance *i);
/* Kills QEMU at once, however stuck it is. The end comes as an event. */
void instance_kill(Instance *i);
