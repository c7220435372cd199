/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

#include "fault.h"

/* Registration with systemd-machined, so that machinectl sees the VM and its verbs reach the guest (through the signals the supervisor
 * understands: the supervisor is the leader, never QEMU). A machine goes away by itself when its unit ends. */

typedef struct MachineRegistration MachineRegistration;

/* Exactly once. `name` is what it was registered as; NULL with a Fault when it was not. */
typedef void (*MachineDone)(const char *name, const Fault *f, void *userdata);

typedef struct MachineSpec {
        const char *name;            /* one that machined does not allow is made fit, one that is taken gets a part of the uuid */
        const char *unit;            /* a machine of this unit that is there already is of a run before, and makes way */
        sd_id128_t uuid;
        pid_t leader;                /* in the VM's unit */
        const int *links;            /* the host's ends of its interfaces, as their numbers; at most MACHINE_LINKS_MAX */
        size_t n_links;
} MachineSpec;
#define MACHINE_LINKS_MAX 64u

int machine_register(sd_bus *bus, const MachineSpec *spec, MachineDone done, void *userdata, MachineRegistration **ret);
MachineRegistration *machine_registration_free(MachineRegistration *m);
DEFINE_CLEANUP(MachineRegistration *, machine_registration_free)
