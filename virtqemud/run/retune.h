/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/tuning.h"
#include "operation.h"

/* Other values of settings that plan/tuning.h knows: of the VM that runs, of its definition, or of both as one. */
typedef struct RetuneSpec {
        const TuningValue *values;
        size_t n;
        bool live, config;           /* neither: the VM if it runs, else its definition */
        bool validate_only;
} RetuneSpec;

/* Exactly once. */
typedef void (*RetuneDone)(Domain *d, char **plan, const Fault *why, void *userdata);
/* The values are looked at before it returns. */
int retune_domain(Domain *d, const RetuneSpec *spec, RetuneDone done, void *userdata, Operation **ret, Fault *f);

/* What a daemon before this one has told the unit and the threads on the way to `after` is as the live definition says. */
int retune_take_back(Domain *d, const DomainDef *after, Fault *f);

/* QEMU has threads that it did not have when they were pinned. */
void retune_pin_again(Domain *d);
/* Its threads are scheduled as the definition says; what can't be is a warning. */
void retune_schedule(Domain *d);
