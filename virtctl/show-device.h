/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

/* The lines of all devices of a VM that people know by name; `vm` as for show_vm(). */
void show_devices(const json_t *vm);
