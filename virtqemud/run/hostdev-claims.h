/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Whether the devices of the host (DeviceOps.claim) that `live`, a definition about to run as `d`, asks for are no other VM's. FAULT_IN_USE. */
int hostdevs_check_claims(const Domain *d, const DomainDef *live, Fault *f);

/* A device of the host that a running domain has: by the kernel's name of it, or (NULL) a USB device by its numbers. */
typedef struct HostClaim {
        const char *name;
        uint64_t bus, number;
} HostClaim;

/* `live` may be NULL. */
void hostdevs_each_claim(const DomainDef *live, void (*f)(const HostClaim *claim, void *userdata), void *userdata);
