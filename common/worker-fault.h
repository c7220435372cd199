/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "fault.h"

/* A fault on its way from a worker to its daemon. */
json_t *worker_fault_to_json(const Fault *f, FaultKind otherwise, int error);
/* -EBADMSG. */
int worker_fault_from_json(const json_t *json, Fault *ret);
