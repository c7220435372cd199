/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service.h"

/* DomainCapabilities() and ExportCapabilities() of the Manager. */
extern const sd_bus_vtable manager_capabilities_vtable[];

/* Drops the calls that wait for their answers. */
void capability_calls_clear(Service *s);
