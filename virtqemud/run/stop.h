/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "operation.h"

/* Asking guests to go down or to reboot, and ending those that don't. */

#define SHUTDOWN_TIMEOUT_USEC (120u * 1000 * 1000)   /* default of stop_shutdown(): then the operation fails, the guest goes on */
#define REBOOT_TIMEOUT_USEC (60u * 1000 * 1000)      /* a guest that ignores the power button for so long is reset */
#define POWERDOWN_INTERVAL_USEC (5u * 1000 * 1000)   /* the power button is pressed again: guests miss it while they boot */
#define TERMINATE_TIMEOUT_USEC (10u * 1000 * 1000)

/* Who in the guest is asked. */
typedef enum StopMode {
        STOP_ANY,      /* its agent, if there is one, and the power button */
        STOP_ACPI,
        STOP_AGENT,
        _STOP_MODE_MAX,
        _STOP_MODE_INVALID = -EINVAL,
} StopMode;
DECLARE_ENUM(StopMode, stop_mode);

#define AGENT_REBOOT_USEC (15u * 1000 * 1000)        /* an agent that has not rebooted the guest by then is followed by the power button */

/* Asks the agent, and presses the power button until the guest has powered off. 0 as timeout: the default. */
int stop_shutdown(Domain *d, StopMode mode, uint64_t timeout_usec, Operation **ret, Fault *f);
/* By its agent; else power button, then reset: the guest shuts down cleanly and boots again under the same QEMU. */
int stop_reboot(Domain *d, StopMode mode, Operation **ret, Fault *f);

/* Ends QEMU at once, whatever it is doing and whatever operation is under way: that one is cancelled. `done` is called exactly once
 * when nothing is left, or with FAULT_TIMEOUT. */
typedef void (*StopDone)(Domain *d, int error, const Fault *f, void *userdata);
int stop_terminate(Domain *d, StopDone done, void *userdata, Fault *f);

/* Somebody has asked for its end, and waits for it. */
bool stop_is_wanted(const Domain *d);

/* From monitor.c and instance.c. */
void stop_guest_reset(Domain *d);
void stop_domain_off(Domain *d);
/* From domain.c: it is forgotten, and who waits for its end is told so. */
void stop_forget(Domain *d);
