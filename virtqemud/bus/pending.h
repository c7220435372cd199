/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"

/* What differs between a VM that runs and its definition: Domain.PendingChanges and ListPendingChanges(). */
BUS_PUBLIC_GETTER(domain_get_pending);
int domain_method_list_pending(sd_bus_message *m, void *userdata, sd_bus_error *error);
