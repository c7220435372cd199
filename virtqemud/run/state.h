/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "table.h"

/* What a domain is doing; why is the StateReason, and what is being done to it is its job: three things, never one enum. */
typedef enum DomainState {
        DOMAIN_SHUTOFF,      /* no QEMU */
        DOMAIN_STARTING,     /* a start operation is under way; QEMU may exist but the guest has not run yet */
        DOMAIN_RUNNING,
        DOMAIN_PAUSED,       /* vCPUs stopped */
        DOMAIN_SHUTDOWN,     /* the guest has powered off, QEMU is kept (on_poweroff='preserve', or on its way out) */
        DOMAIN_CRASHED,      /* the guest panicked, QEMU is kept (on_crash='preserve') */
        DOMAIN_PMSUSPENDED,  /* the guest put itself to sleep */
        DOMAIN_BROKEN,       /* the definition on disk can't be read; it is kept as it is */
        _DOMAIN_STATE_MAX,
        _DOMAIN_STATE_INVALID = -EINVAL,
} DomainState;
DECLARE_ENUM(DomainState, domain_state);

typedef enum StateReason {
        REASON_UNKNOWN,
        REASON_BOOTED,       /* started and running */
        REASON_USER,         /* somebody asked for it */
        REASON_GUEST,        /* the guest did it itself */
        REASON_SHUTDOWN,     /* off: the guest powered off */
        REASON_DESTROYED,    /* off: forced from outside */
        REASON_CRASHED,      /* QEMU or the guest died */
        REASON_FAILED,       /* the start did not succeed */
        REASON_PANICKED,
        REASON_IO_ERROR,
        REASON_LEASE_LOST,   /* paused: its disks are not safe from others any more */
        REASON_HOST_SLEEP,   /* paused: the host is about to sleep, or has just woken up */
        REASON_WATCHDOG,
        REASON_STARTING_UP,
        REASON_WAKEUP,
        REASON_DUMP,         /* paused while its memory is written to a file, and running after that */
        REASON_SPACE_RETURNED, /* running: what stopped it for want of space can be written again */
        REASON_DEFINITION,   /* broken: the file can't be parsed */
        _REASON_MAX,
        _REASON_INVALID = -EINVAL,
} StateReason;
DECLARE_ENUM(StateReason, state_reason);

/* There is a QEMU, or there is about to be one. */
static inline bool domain_state_is_active(DomainState s) {
        return s != DOMAIN_SHUTOFF && s != DOMAIN_BROKEN;
}

/* Whether a domain may go from one state to the other; staying is always allowed. */
bool domain_state_may_follow(DomainState from, DomainState to);
