/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"
#include "sdbus.h"

/* Clients on the message bus take turns. All their calls come through one connection, one behind the other: who sends a hundred at once
 * would have everybody else wait for all of these. So what has come behind another call of the same client is set aside, and one of each client
 * is handled in turn whenever nothing else has come. The calls of one client stay in order. */
typedef struct BusTurns BusTurns;

#define BUS_TURNS_MAX 1024u     /* calls of one client that are set aside; what comes then is handled at once */
#define BUS_TURNS_BYTES_MAX (32u * 1024 * 1024)     /* of all that is set aside; likewise */
/* Who keeps us at work for so long leaves so much to events of less priority: deadlines, ends of programs, guests' agents. */
#define BUS_WORK_USEC 20000u
#define BUS_REST_USEC 100000u    /* at most: it is over when nothing else is to be done */
/* Of the connection: what has come is looked at first, for it may be somebody else's. */
#define BUS_TURNS_PRIORITY (SD_EVENT_PRIORITY_NORMAL - 1)

int bus_turns_new(sd_event *event, BusTurns **ret);
BusTurns *bus_turns_free(BusTurns *t);
DEFINE_CLEANUP(BusTurns *, bus_turns_free)
/* For a filter of the connection: whether the message was set aside. It comes back to the filter, which then lets it pass. */
bool bus_turns_take(BusTurns *t, sd_bus_message *m);
/* All that was set aside is handled before the connection does anything else. */
void bus_turns_finish(BusTurns *t);
