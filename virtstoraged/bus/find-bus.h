/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"
#include "service.h"

/* Nobody wants to know any more. */
void finds_clear(Service *s);

int method_find_sources(sd_bus_message *m, void *userdata, sd_bus_error *error);
