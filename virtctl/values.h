/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>
#include <systemd/sd-bus.h>

/* "10G", "512M", "4096": bytes. A text that is none is told of. */
int value_read_size(const char *text, uint64_t *ret);

/* The next value of a message as JSON: a variant is opened, 16 bytes are a UUID, a structure is a list. null: can't be read. */
json_t *value_to_json(sd_bus_message *m);
