/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "launch.h"

/* One device on its way into a VM that runs. Pure data. */
typedef struct Hotplug {
        DomainDef *next;        /* what runs and, behind it, what is new: filled and checked */
        size_t first_new;       /* in its devices: the device, before it the controllers it needs */
        Device *device;         /* of `next`; NULL once it was taken out */
        DomainDef part;         /* a view of `next` with nothing but what is new, for what gathers a definition's needs */
} Hotplug;

/* FAULT_NOT_SUPPORTED when such a device is there from the start or never. `device` stays the caller's. */
int hotplug_new(const DomainDef *live, const Device *device, const DomainDefaults *defaults, const QemuCaps *caps, Hotplug **ret, Fault *f);
Hotplug *hotplug_free(Hotplug *h);
DEFINE_CLEANUP(Hotplug *, hotplug_free)

/* Moves what is new from `next` into the live definition it was made of. */
int hotplug_take(Hotplug *h, DomainDef *live);

/* What has to be opened, and the commands: LaunchPlan.commands. fdsets are numbered from `first_fdset`, of which the plan says the next
 * that is free. */
int hotplug_plan(const Hotplug *h, const QemuCaps *caps, unsigned launch_flags, unsigned first_fdset, LaunchPlan **ret, Fault *f);
/* One more descriptor that QEMU is to hold for that device's sake. Its number is the return value. */
int hotplug_plan_keep(LaunchPlan *p, PlanFdKind kind, unsigned index, const char *device, bool writable);

/* The commands that take away what stands behind a device of the live definition once the device itself is gone. */
int hotplug_clean(const DomainDef *live, const Device *device, const QemuCaps *caps, json_t **ret, Fault *f);
/* Whether a block node is one of the device's; they are called after it. */
bool hotplug_owns_node(const Device *device, const char *node);
