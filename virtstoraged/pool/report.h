/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "pool.h"

/* Reading what programs print in JSON. */

/* FAULT_POOL naming the program if it is none. */
int report_parse(const char *program, const char *text, json_t **ret, Fault *f);
/* A number that is written as one, or as text, perhaps with a fraction, which is cut off. -EBADMSG. */
int report_number(const json_t *object, const char *key, uint64_t *ret);
/* Text that is not empty, or NULL. */
const char *report_text(const json_t *object, const char *key);
