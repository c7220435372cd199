/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/firmware.h"
#include "manager.h"

/* Chooses the firmware of a definition that leaves the choice to us (<os firmware='efi'>), from QEMU's descriptor files on this host.
 * Nothing happens where none is to be chosen. The machine type must be expanded. */
int firmware_files_choose(Manager *m, DomainDef *def, Fault *f);

/* All that may be chosen for a machine type, by its name. -ENOMEM. */
int firmware_files_offers(const Manager *m, const char *arch, const char *machine, FirmwareOffer **ret, size_t *ret_n);
