/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings in the answer to GetPlan(), between virtqemud and virtqemu-run. A supervisor ignores those it does not know. */
#define PLAN_MONITOR_FD "monitor-fd"                    /* u: its end of a QMP monitor of its own */
#define PLAN_LOG_FD "log-fd"                            /* u: where QEMU's words are kept; may be missing */
#define PLAN_KEPT_FDS "kept-fds-from"                   /* u: descriptors below this number are QEMU's alone, once it runs; may be missing */
#define PLAN_PINS "pins"                                /* s: "CPU 0/=0-3;=4": which of QEMU's threads stay on which CPUs; may be missing */
#define PLAN_OWN_FDS "own-fds-from"                     /* u: descriptors from this number on are not for QEMU; may be missing */
#define PLAN_STOP_TIMEOUT "stop-timeout-usec"           /* t: for the guest to power off */
#define PLAN_POWERDOWN_INTERVAL "powerdown-interval-usec" /* t: the power button is pressed again after that */
#define PLAN_HELD "held"                                /* b: QEMU waits, paused, when the guest has powered off */
#define PLAN_PAUSED "paused"                            /* b: the guest is not to run yet when the start is over */
#define PLAN_MAKES_FILES "makes-files"                  /* b: QEMU makes files, whose modes it knows; may be missing */
#define PLAN_ON_POWEROFF "on-poweroff"                  /* s: what is done then, if held: destroy, restart, preserve */
#define PLAN_ON_REBOOT "on-reboot"                      /* s: likewise after a reset by the guest */

#define PLAN_ON_CRASH "on-crash"                        /* s: likewise after the guest has panicked, if QEMU waits then */
#define PLAN_LOG_NUMBER 8                               /* of the log's descriptor */
