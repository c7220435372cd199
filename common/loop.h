/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

/* In debug builds each event that takes longer is logged, with where it was by then; in others, what holds up everything for a second. */
#define LOOP_LIMIT_MSEC 20u

/* Waits at most `usec` (UINT64_MAX: for ever) for an event and handles it: sd_event_run(), with an eye on who holds up all others. */
int loop_once(sd_event *event, uint64_t usec);
/* Until sd_event_exit(), whose code does not matter. */
int loop_run(sd_event *event);
/* What the event turned out to be, for the log: a method of an interface. */
void loop_note(const char *interface, const char *member);
