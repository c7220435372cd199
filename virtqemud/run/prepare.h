/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/hotplug.h"
#include "../plan/launch.h"
#include "domain-connections.h"
#include "domain-leases.h"
#include "domain-logs.h"
#include "domain-ports.h"
#include "domain-secrets.h"
#include "domain.h"

/* From a live definition to everything its QEMU is started with: files opened by the worker, backing chains written into the
 * definition, the plan made, and its descriptors gathered. */
typedef struct Prepare Prepare;

/* Exactly once, never from within prepare_new(). A fault is moved out by whoever wants it. */
typedef void (*PrepareDone)(Prepare *p, int error, Fault *f, void *userdata);

typedef struct PrepareSpec {
        DomainDef *live;             /* must stay until the Prepare is freed; chains that are found are written into it */
        const Hotplug *hotplug;      /* instead of it: what is plugged into a QEMU that runs */
        unsigned first_fdset;        /* likewise */
        const QemuCaps *caps;
        bool look_only;              /* nothing is opened for writing and nothing created: enough for the plan, but there are no descriptors */
} PrepareSpec;

int prepare_new(Domain *d, const PrepareSpec *spec, PrepareDone done, void *userdata, Prepare **ret, Fault *f);
Prepare *prepare_free(Prepare *p);
DEFINE_CLEANUP(Prepare *, prepare_free)

/* After done(): the plan. */
const LaunchPlan *prepare_plan(const Prepare *p);
/* The same, for who has something to add. */
LaunchPlan *prepare_plan_of(Prepare *p);

/* After done(): the images it is going to use, each level of a chain for itself. The strings stay the Prepare's. */
int prepare_images(const Prepare *p, ImageUse **ret, size_t *ret_n);

/* The outer ends of the connections to what stands beside QEMU, once prepare_descriptors() has made them. Taking one makes it, the copy of
 * its device's id (NULL: out of memory), and for a program that greets a copy of QEMU's end (else -1), the caller's. */
size_t prepare_count_companions(const Prepare *p);
int prepare_take_companion(Prepare *p, size_t i, char **ret_device, int *ret_qemu);

/* QEMU gets `fd`, which is taken over, in the place of its end of that connection. */
void prepare_replace_companion(Prepare *p, const char *device, int fd);

/* What the supervisor keeps for itself, behind the plan's descriptors. */
enum { PREPARE_MONITOR_FD, PREPARE_LOG_FD, PREPARE_EXTRA_FDS };

/* Makes the sockets of the domain's Instance and gathers all descriptors, which prepare_fds() then gives: those of the plan in its
 * order, then PREPARE_EXTRA_FDS more (the log may be missing: negative). All stay the Prepare's. What was gathered from others is copied. */
typedef struct Gathered {
        const DomainLogs *logs;
        const DomainLeases *leases;
        const DomainPorts *ports;
        const DomainConnections *connections;
        const DomainSecrets *secrets;
} Gathered;
int prepare_descriptors(Prepare *p, const Gathered *gathered, Fault *f);
const int *prepare_fds(const Prepare *p);
/* The same by its number in the plan, as a copy. */
int prepare_fd(const Prepare *p, int number);
