/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service.h"

/* WaitForAddress: jobs that end when a guest has an address. */
typedef struct AddressWaits AddressWaits;

int address_wait_new(Service *s, Domain *d, sd_bus_message *m, sd_bus_error *error);
/* A domain's addresses have changed, or its state. */
void address_waits_look(Service *s, Domain *d);
void address_waits_free(Service *s);
