/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../run/guest-agent.h"
#include "sdbus.h"

/* A D-Bus call that the agent of a guest answers. */

/* Appends what the agent said to the answer; -EBADMSG: that makes no sense. */
typedef int (*GuestAnswer)(sd_bus_message *reply, const json_t *result);

/* Takes `arguments`, also on failure. 1, or negative with `error` set. */
int guest_call(Domain *d, sd_bus_message *m, const char *command, json_t *arguments, uint64_t timeout_usec, GuestAnswer answer, sd_bus_error *error);

/* One that is not answered if it succeeds: the guest sleeps then. */
int guest_call_silent(Domain *d, sd_bus_message *m, const char *command, uint64_t timeout_usec, sd_bus_error *error);

/* `t flags, a{sv} options`, of which there is "timeout" (t, µs). */
int guest_read_timeout(sd_bus_message *m, uint64_t *ret_usec, sd_bus_error *error);

/* Nothing to append. */
int guest_answer_nothing(sd_bus_message *reply, const json_t *result);
