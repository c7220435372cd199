/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"
#include "sdbus.h"

/* Calls that are not answered yet, so that nobody waits in vain for a daemon that is being stopped. sdbus.h has every answer pass through here.
 * Part of a Bus. */
typedef struct BusCalls BusCalls;

int bus_calls_new(BusCalls **ret);
BusCalls *bus_calls_free(BusCalls *c);
DEFINE_CLEANUP(BusCalls *, bus_calls_free)

/* Around a handler: the call has come; and what the handler has returned, which is passed on. */
void bus_calls_begin(BusCalls *c, sd_bus_message *call);
int bus_calls_end(BusCalls *c, sd_bus_message *call, int r, const sd_bus_error *error);
bool bus_calls_any(const BusCalls *c);
/* The connection has gone, and with it who waited. */
void bus_calls_forget(BusCalls *c, sd_bus *connection);

/* Answers all with FAULT_STOPPING, which names the daemon. What is said to them later is not sent. */
void bus_calls_refuse(BusCalls *c, const char *daemon);
bool bus_calls_refused(const BusCalls *c);
/* Likewise one that has come since. */
void bus_calls_refuse_one(const BusCalls *c, sd_bus_message *call);
