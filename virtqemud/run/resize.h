/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "operation.h"

/* More or fewer CPUs, more or less memory: of the VM that runs, of its definition, or of both as one. */
typedef enum ResizeWhat { RESIZE_MEMORY, RESIZE_VCPUS } ResizeWhat;

typedef struct ResizeSpec {
        ResizeWhat what;
        uint64_t value;              /* bytes that the guest may use, or CPUs it has */
        bool live, config;           /* neither: the VM if it runs, else its definition */
        bool validate_only;
        uint64_t timeout_usec;       /* for a guest that is to let go of CPUs; 0: RESIZE_USEC */
} ResizeSpec;
#define RESIZE_USEC (20u * 1000 * 1000)

/* Exactly once. */
typedef void (*ResizeDone)(Domain *d, char **plan, const Fault *why, void *userdata);
int resize_domain(Domain *d, const ResizeSpec *spec, ResizeDone done, void *userdata, Operation **ret, Fault *f);

/* From the monitor: a device without a name has gone, which may have been a CPU. */
void resize_device_gone(Domain *d);
