/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-bus.h>

/* The next value of a message as JSON: a variant is opened, 16 bytes are a UUID, a structure is a list. null: can't be read. */
json_t *value_to_json(sd_bus_message *m);
