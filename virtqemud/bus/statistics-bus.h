/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "service.h"

/* Statistics of domains: GetStatistics() and subscriptions of the Manager, and what a Domain has of them. */
extern const sd_bus_vtable statistics_manager_vtable[], statistics_domain_vtable[];

/* Ends all subscriptions. */
void statistics_bus_clear(Service *s);
