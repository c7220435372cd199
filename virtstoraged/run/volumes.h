/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"

/* The volumes of a pool, as they were found last. */

Volume *volumes_find(const Pool *p, const char *name);
/* By the part of an object path. */
Volume *volumes_find_id(const Pool *p, const char *id);
/* In the order of names. */
void volumes_sort(Pool *p);
Volume *volumes_first(const Pool *p);
Volume *volumes_next(const Volume *v);

/* Sets what is known of one; takes over `info`. NULL: out of memory. */
Volume *volumes_set(Pool *p, VolumeInfo *info);
void volumes_remove(Volume *v);
void volumes_clear(Pool *p);
/* All that were not set in between are gone. */
void volumes_begin_refresh(Pool *p);
void volumes_end_refresh(Pool *p);

/* "volumes" of an answer that is not the last. */
int volumes_take(Pool *p, const json_t *json);
/* Whether a volume of that name can be made. FAULT_VOLUME_EXISTS, FAULT_BUSY. */
int volumes_check_free(const Pool *p, const char *name, Fault *f);
/* Of a list: whether one of them may be changed now. FAULT_BUSY naming what is done with it. */
int volume_check_idle(const Volume *v, Fault *f);
/* Whether no VM has it. FAULT_IN_USE with their names; `what` can't be done to it: "deleted". */
int volume_check_unused(const Volume *v, const char *what, Fault *f);
