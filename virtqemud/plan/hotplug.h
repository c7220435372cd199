/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"
#include "launch.h"

/* One device on its way into a VM that runs. Pure data. */
typedef struct Hotplug {
        DomainDef *next;        /* what runs and, behind it, what is new: filled and checked */
        size_t first_new;       /* in its devices: the device, before it the controllers it needs */
        Device *device;         /* of `next`; NULL once it was taken out */
        const Device *before;   /* of the live definition: what it was, where it changes; NULL: it is new */
        DomainDef part;         /* a view of `next` with nothing but what is new, for what gathers a definition's needs */
} Hotplug;

/* FAULT_NOT_SUPPORTED when such a device is there from the start or never. `device` stays the caller's; `caps` may be NULL, as for
 * domain_check(). */
int hotplug_new(const DomainDef *live, const Device *device, const DomainDefaults *defaults, const QemuCaps *caps, Hotplug **ret, Fault *f);
/* The same for a device that is there and is to be as `device` says, whose id says which, if it has one. FAULT_NO_SUCH_DEVICE. */
int hotplug_update(const DomainDef *live, const Device *device, const DomainDefaults *defaults, const QemuCaps *caps, Hotplug **ret, Fault *f);
Hotplug *hotplug_free(Hotplug *h);
DEFINE_CLEANUP(Hotplug *, hotplug_free)

/* Moves what is new, or what has changed, from `next` into the live definition it was made of. */
int hotplug_take(Hotplug *h, DomainDef *live);

/* What has to be opened, and the commands: LaunchPlan.commands. fdsets are numbered from `first_fdset`, of which the plan says the next
 * that is free. */
int hotplug_plan(const Hotplug *h, const QemuCaps *caps, unsigned launch_flags, unsigned first_fdset, LaunchPlan **ret, Fault *f);
/* One more descriptor that QEMU is to hold for that device's sake. Its number is the return value. */
int hotplug_plan_keep(LaunchPlan *p, PlanFdKind kind, unsigned index, const char *device, bool writable);

/* The commands that take away what stands behind a device of the live definition once the device itself is gone. */
int hotplug_clean(const DomainDef *live, const Device *device, const QemuCaps *caps, json_t **ret, Fault *f);
/* Puts what takes away the medium that was there into the plan of another one, as what is tidied up after it; the answers are those from before the change. */
int hotplug_clean_before(const Hotplug *h, const QemuCaps *caps, const json_t *nodes, const json_t *sets, LaunchPlan *p, Fault *f);
/* Appends the commands that close the descriptors of the device's block nodes, unless another node uses them, too. `nodes` is what
 * query-named-block-nodes has answered. */
int hotplug_drop_images(const Device *device, const json_t *nodes, json_t *commands);
/* The same for what QEMU holds under the device's name; `sets` is what query-fdsets has answered. */
int hotplug_drop_kept(const Device *device, const json_t *nodes, const json_t *sets, json_t *commands);

/* The device that is the same one in another definition: by its target, MAC address or place; NULL: there is none. */
Device *domain_find_same(const DomainDef *def, const Device *d);
/* Gives devices of the definition the ids that they have in the running machine, and those which it has not others than any in it: by an id
 * nobody gets hold of another device. */
int domain_match_ids(DomainDef *def, const DomainDef *live);
