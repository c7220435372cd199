/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "domain.h"

/* Where the volumes are that disks of type 'volume' name, from virtstoraged. */
typedef struct DomainVolumes DomainVolumes;

/* Exactly once, never from within domain_volumes_new(): they are written into the definition, or `why` not. */
typedef void (*DomainVolumesDone)(const Fault *why, void *userdata);

/* `live` must stay. `start`: pools that are not active are started. */
int domain_volumes_new(Domain *d, DomainDef *live, bool start, DomainVolumesDone done, void *userdata, DomainVolumes **ret, Fault *f);
DomainVolumes *domain_volumes_free(DomainVolumes *v);
DEFINE_CLEANUP(DomainVolumes *, domain_volumes_free)
