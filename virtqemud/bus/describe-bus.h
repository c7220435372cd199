/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

/* Properties of many objects in one answer, for clients that show them: Manager.ListDomainProperties() and Domain.GetDevices(). */
extern const sd_bus_vtable manager_describe_vtable[], domain_describe_vtable[];
