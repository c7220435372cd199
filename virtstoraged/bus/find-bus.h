/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

int method_find_sources(sd_bus_message *m, void *userdata, sd_bus_error *error);
