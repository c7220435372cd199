/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* sd-bus for code that runs on a loop: the calls that wait for an answer do not compile. */
#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#pragma GCC poison sd_bus_call sd_bus_call_method sd_bus_call_methodv sd_bus_get_property sd_bus_get_property_trivial
#pragma GCC poison sd_bus_get_property_string sd_bus_get_property_strv sd_bus_set_property sd_bus_set_propertyv
#pragma GCC poison sd_bus_request_name sd_bus_release_name sd_bus_add_match sd_bus_match_signal sd_bus_flush sd_bus_wait

/* Answers end the call they are for, see bus-calls.h: whether it is still to be answered. */
bool sdbus_may_answer(sd_bus_message *call);
bool sdbus_may_send(sd_bus_message *m);
#ifndef SDBUS_PLAIN_ANSWERS
#define sd_bus_reply_method_return(call, ...) (sdbus_may_answer(call) ? sd_bus_reply_method_return((call), __VA_ARGS__) : 1)
#define sd_bus_reply_method_error(call, e) (sdbus_may_answer(call) ? sd_bus_reply_method_error((call), (e)) : 1)
#define sd_bus_reply_method_errorf(call, ...) (sdbus_may_answer(call) ? sd_bus_reply_method_errorf((call), __VA_ARGS__) : 1)
#define sd_bus_reply_method_errno(call, error, e) (sdbus_may_answer(call) ? sd_bus_reply_method_errno((call), (error), (e)) : 1)
#define sd_bus_send(bus, m, ret_cookie) (sdbus_may_send(m) ? sd_bus_send((bus), (m), (ret_cookie)) : 1)
#endif
