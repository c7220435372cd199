/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"

/* A pool's worker, and what is known from it: the space there is, whether it can be reached, and when that is looked at again. */

int pool_make_worker(Pool *p, Worker **ret, Fault *f);
/* The pool's own. */
int pool_need_worker(Pool *p, Fault *f);

/* The last answer's "capacity", "allocation", "available". */
void pool_take_space(Pool *p, const json_t *json);
/* A volume as the worker says it is; of one that was `made` its format is noted. Takes over `info`. */
void pool_take_volume(Pool *p, VolumeInfo *info, bool made);
/* What went wrong when it was asked: it may be out of reach. */
void pool_note_failure(Pool *p, const Fault *why);
void pool_note_success(Pool *p);

/* Looks at everything again. */
int pool_refresh(Pool *p, DefinedDone done, void *userdata, Fault *f);
/* It is active: it is looked at every now and then. */
void pool_arm_check(Pool *p);
