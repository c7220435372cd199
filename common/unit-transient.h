/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "unit.h"

/* Part of unit.c: the properties of a service that exists only while it runs. `spec` is a UnitTransient. */
int unit_append_service(sd_bus_message *m, const void *spec);
