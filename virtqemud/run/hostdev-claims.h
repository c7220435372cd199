/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Whether the devices of the host (DeviceOps.claim) that `live`, a definition about to run as `d`, asks for are no other VM's. FAULT_IN_USE. */
int hostdevs_check_claims(const Domain *d, const DomainDef *live, Fault *f);
