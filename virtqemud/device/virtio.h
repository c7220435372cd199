/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "../def/virtio-def.h"

/* "virtio-rng" -> "virtio-rng-pci", or its transitional or non-transitional form. Valid until the next call but three. */
const char *virtio_driver(const char *base, bool transitional, bool non_transitional);

bool virtio_options_any(const VirtioOptions *o);
int virtio_options_add(const VirtioOptions *o, json_t *json);

/* Sets a number unless it is NUMBER_UNSET; -ENOMEM. */
int json_set_number(json_t *json, const char *key, uint64_t value);
/* Sets a boolean unless it is unset; -ENOMEM. */
int json_set_switch(json_t *json, const char *key, Tristate value);
int json_set_text(json_t *json, const char *key, const char *value);
