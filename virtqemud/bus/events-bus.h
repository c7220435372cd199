/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../run/events.h"
#include "service.h"

/* What run/ tells of events, as signals and properties of org.virtbus.qemu1.Events. */
void events_bus_emit(Service *s, const Domain *d, const DomainEvent *e);
void events_bus_changed(Service *s, const Domain *d);
