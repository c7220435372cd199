/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "operation.h"

/* Taking a device away: from the VM that runs, which asks its guest, from its definition, or from both as one. */
typedef struct DetachSpec {
        const char *device;          /* its id */
        bool live, config;           /* neither: where it is */
        uint64_t timeout_usec;       /* for the guest's answer; 0: DETACH_USEC */
} DetachSpec;
#define DETACH_USEC (20u * 1000 * 1000)

/* FAULT_TIMEOUT when the guest has not answered in time: the device goes when it does, and the definition stays as it was. FAULT_NO_SUCH_DEVICE,
 * FAULT_NOT_SUPPORTED. */
typedef void (*DetachDone)(Domain *d, const Fault *why, void *userdata);   /* exactly once */
int detach_device(Domain *d, const DetachSpec *spec, DetachDone done, void *userdata, Operation **ret, Fault *f);
/* What detach_device() would do; or why it would not. */
int detach_plan(Domain *d, const DetachSpec *spec, char ***ret, Fault *f);

/* From unplug.c: the guest has let go of it, which ends all waiting for that; then nothing is left of it, or the guest keeps it. */
void detach_guest_let_go(Domain *d, const char *device);
void detach_device_gone(Domain *d, const char *device);
void detach_device_refused(Domain *d, const char *device);
