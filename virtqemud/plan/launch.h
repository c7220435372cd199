/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../device/args.h"
#include "../device/wanted.h"

/* Everything needed to run a definition: the command line and the descriptors it refers to. Pure data. */
typedef struct LaunchPlan {
        char **argv;            /* NULL where it is for a QEMU that runs: */
        json_t *commands;       /* [{"execute", "arguments", "fd": number, "undo": {"execute", "arguments"}}, …] */
        json_t *tidy;           /* likewise, without undo: what of before the change goes once that is done; NULL: nothing */
        unsigned next_fdset;    /* the first that is free */
        char **environment;
        PlanFd *fds;
        size_t n_fds;
        int kept_fds_from;      /* descriptors below this number are QEMU's alone, once it runs */
        int own_fds_from;       /* descriptors from this number on are for the supervisor, not for QEMU; 0: none */
        int monitor_run_fd;     /* what the supervisor calls the other end of PLAN_FD_MONITOR_RUN; below PLAN_FD_BASE */
} LaunchPlan;

/* `def` is a filled and checked live definition whose disks name their whole backing chains. `flags` are
 * LaunchFlags. */
int launch_plan(const DomainDef *def, const QemuCaps *caps, unsigned flags, LaunchPlan **ret, Fault *f);
LaunchPlan *launch_plan_free(LaunchPlan *p);
DEFINE_CLEANUP(LaunchPlan *, launch_plan_free)

/* QEMU holds a descriptor for that device's sake, under its name, so that it can be let go with it. */
int launch_plan_lend(LaunchPlan *p, int number, const char *device);

/* Whether QEMU is told to wait, paused, when the guest has powered off, because the definition wants something else then than an end. */
bool launch_holds_on_shutdown(const DomainDef *def);

/* Whether QEMU makes files for the guest, in folders that it is lent. */
bool launch_makes_files(const LaunchPlan *p, const DomainDef *def);

/* The QMP commands that the guest's first instruction has to wait for: an array, to be freed by the caller. */
int launch_settle(const DomainDef *def, json_t **ret);

/* The files that must be opened before a plan can be made. */
int launch_files(const DomainDef *def, WantedFiles *ret, Fault *f);

/* A file that may be missing is: the devices whose it is go on without it, or go themselves. The first one's id goes to *ret, NULL: nobody's. */
int launch_lose_file(DomainDef *live, const char *path, char **ret);

/* Writes a chain that was found into the live definition as <backingStore> elements. `levels` starts with the image itself. */
int launch_apply_chain(DomainDef *live, const char *image, const ChainLevel *levels, size_t n, Fault *f);
