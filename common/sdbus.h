/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* sd-bus for code that runs on a loop: the calls that wait for an answer do not compile. */
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#pragma GCC poison sd_bus_call sd_bus_call_method sd_bus_call_methodv sd_bus_get_property sd_bus_get_property_trivial
#pragma GCC poison sd_bus_get_property_string sd_bus_get_property_strv sd_bus_set_property sd_bus_set_propertyv
#pragma GCC poison sd_bus_request_name sd_bus_release_name sd_bus_add_match sd_bus_match_signal sd_bus_flush sd_bus_wait
