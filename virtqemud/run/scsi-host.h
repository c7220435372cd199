/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Finds the device files of the SCSI devices of the host that `live`, a definition about to run, asks for, and writes them into it.
 * FAULT_NO_SUCH_DEVICE. */
int scsi_hosts_find(DomainDef *live, Fault *f);
