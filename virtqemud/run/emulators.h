/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/host-caps.h"
#include "manager.h"

/* The QEMUs that are installed: /usr/bin/qemu-system-ARCH, and the one of the settings, which is the first of its architecture. */

#define EMULATORS_MAX 64u

/* Their paths. No caller names a program that is not among them. -ENOMEM. */
int emulators_list(const Manager *m, char ***ret);

typedef struct EmulatorScan EmulatorScan;

/* `emulators` is borrowed; those that can't describe themselves are left out. The scan stays its owner's, who may free it inside. */
typedef void (*EmulatorsDone)(const HostEmulator *emulators, size_t n, void *userdata);

/* Asks one after another, each only once as long as it is the same program. Calls back later, never from inside this call. */
int emulators_ask(Manager *m, EmulatorsDone done, void *userdata, EmulatorScan **ret);
EmulatorScan *emulator_scan_free(EmulatorScan *s);
