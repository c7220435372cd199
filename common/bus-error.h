/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

#include "fault.h"

/* Faults at the edge: FAULT_BUSY <-> "org.virtbus.Error.Busy", and the standard names where there is one. The hint is the second line
 * of the message. */

const char *bus_error_name(FaultKind kind);

/* For `return fault_to_bus(&f, r, error)` in a method: sets `error` from the fault, or from r where it says nothing. Returns < 0. */
int fault_to_bus(const Fault *f, int r, sd_bus_error *error);
/* What another daemon answered. */
int fault_from_bus(const sd_bus_error *e, Fault *ret);
int bus_reply_fault(sd_bus_message *call, const Fault *f, int r);
