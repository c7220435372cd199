/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state.h"

DEFINE_ENUM(DomainState, domain_state,
        [DOMAIN_SHUTOFF] = "shutoff",
        [DOMAIN_STARTING] = "starting",
        [DOMAIN_RUNNING] = "running",
        [DOMAIN_PAUSED] = "paused",
        [DOMAIN_SHUTDOWN] = "shutdown",
        [DOMAIN_CRASHED] = "crashed",
        [DOMAIN_PMSUSPENDED] = "pmsuspended",
        [DOMAIN_BROKEN] = "broken")

DEFINE_ENUM(StateReason, state_reason,
        [REASON_UNKNOWN] = "unknown",
        [REASON_BOOTED] = "booted",
        [REASON_USER] = "user",
        [REASON_GUEST] = "guest",
        [REASON_SHUTDOWN] = "shutdown",
        [REASON_DESTROYED] = "destroyed",
        [REASON_CRASHED] = "crashed",
        [REASON_FAILED] = "failed",
        [REASON_PANICKED] = "panicked",
        [REASON_IO_ERROR] = "io-error",
        [REASON_LEASE_LOST] = "lease-lost",
        [REASON_HOST_SLEEP] = "host-sleep",
        [REASON_WATCHDOG] = "watchdog",
        [REASON_STARTING_UP] = "starting-up",
        [REASON_WAKEUP] = "wakeup",
        [REASON_DUMP] = "dump",
        [REASON_SPACE_RETURNED] = "space-returned",
        [REASON_DEFINITION] = "definition")

#define B(state) (1u << DOMAIN_##state)

/* Every state with a QEMU may end in SHUTOFF. Nothing but a start leaves SHUTOFF, except that a QEMU found at our own start is
 * adopted in the state it is in. */
static const unsigned followers[_DOMAIN_STATE_MAX] = {
        [DOMAIN_SHUTOFF] = B(STARTING) | B(RUNNING) | B(PAUSED) | B(SHUTDOWN) | B(CRASHED) | B(PMSUSPENDED) | B(BROKEN),
        [DOMAIN_STARTING] = B(SHUTOFF) | B(RUNNING) | B(PAUSED) | B(SHUTDOWN) | B(CRASHED),
        [DOMAIN_RUNNING] = B(SHUTOFF) | B(PAUSED) | B(SHUTDOWN) | B(CRASHED) | B(PMSUSPENDED),
        [DOMAIN_PAUSED] = B(SHUTOFF) | B(RUNNING) | B(SHUTDOWN) | B(CRASHED) | B(PMSUSPENDED),
        [DOMAIN_SHUTDOWN] = B(SHUTOFF) | B(RUNNING) | B(PAUSED),
        [DOMAIN_CRASHED] = B(SHUTOFF) | B(RUNNING) | B(PAUSED),
        [DOMAIN_PMSUSPENDED] = B(SHUTOFF) | B(RUNNING) | B(PAUSED) | B(SHUTDOWN) | B(CRASHED),
        [DOMAIN_BROKEN] = B(SHUTOFF),
};

bool domain_state_may_follow(DomainState from, DomainState to) {
        assert(from >= 0 && from < _DOMAIN_STATE_MAX && to >= 0 && to < _DOMAIN_STATE_MAX);

        return from == to || (followers[from] & 1u << to);
}
