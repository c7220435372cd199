/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"

/* Formats of volumes whose names do not tell them: what was said when they were made, or later. Kept on disk, with the place where they are:
 * a pool that is undefined, and defined there again, has the volumes it had. Nothing is ever guessed from what is in a volume. What is known of a
 * place is never forgotten to make room for another: its raw volumes might be called like images, and be what their guests have made of them. */

#define FORMATS_PLACES_MAX 4000u

/* Reads what is known of the place where the pool is; what can't be read is told, and forgotten. */
void formats_load(Pool *p);
/* FAULT_LIMIT, FAULT_STORE. */
int formats_set(Pool *p, const char *name, VolumeFormat format, Fault *f);
/* It is gone. */
void formats_forget(Pool *p, const char *name);
/* Of what is gone as well: what was not found. */
void formats_prune(Pool *p);
/* The pool is, with all volumes. */
void formats_remove(Pool *p);
