/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pool-run.h"
#include "steps.h"
#include "unit.h"

/* What a start, stop, build and delete are made of. */
extern const StepTable pool_steps_start, pool_steps_stop, pool_steps_build, pool_steps_delete;

/* One of them under way. */
typedef struct PoolOperation {
        Pool *pool;
        const StepTable *what;
        DefinedDone done;
        void *userdata;
        Steps *steps;
        UnitCall *unit;
        sd_event_source *deadline;   /* of the unit */
        bool format, overwrite;      /* of a build */
        bool wants_uses;             /* waits until it is known who uses what */
        bool adopting;               /* it was active before we came */
        bool was_starting;           /* that was begun by an earlier life of this daemon */
        unsigned answers;            /* of the worker, not heard yet */
} PoolOperation;
