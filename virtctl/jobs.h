/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "client.h"

/* Jobs of all daemons that run, as objects: job ("qemu/7"), daemon, path, operation, object, phase. A daemon that doesn't run has none. */
json_t *jobs_list(Client *c);
