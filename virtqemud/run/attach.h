/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "operation.h"
#include "../plan/domain.h"

/* A device more, or one that is there and changes: for the VM that runs, its definition, or both, which then succeed or fail as one. */
typedef struct AttachSpec {
        bool update;                 /* it is there already: the one of the same target, MAC address or place */
        bool live, config;           /* neither: the VM if it runs, else its definition */
        bool force;                  /* what the guest has locked is taken from it */
        bool validate_only;          /* only tell what would be done */
} AttachSpec;

/* Exactly once. `device` is its id, `plan` what was to be done, when only that was asked for. */
typedef void (*AttachDone)(Domain *d, const char *device, char **plan, const Fault *why, void *userdata);

/* Takes over `device`, also on failure. */
int attach_device(Domain *d, Device *device, const AttachSpec *spec, AttachDone done, void *userdata, Operation **ret, Fault *f);

/* From the monitor. */
void attach_device_deleted(Domain *d, const char *device);
