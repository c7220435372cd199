/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Chooses the firmware of a definition that leaves the choice to us (<os firmware='efi'>), from QEMU's descriptor files on this host.
 * Nothing happens where none is to be chosen. The machine type must be expanded. */
int firmware_files_choose(Manager *m, DomainDef *def, Fault *f);
