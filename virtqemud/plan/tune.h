/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/domain-def.h"

/* Limits of a domain as properties of its unit. */

typedef struct UnitProperty {
        const char *name;
        uint64_t value;          /* for those that are numbers */
        uint8_t *set;            /* AllowedCPUs: a bit for each; owned */
        size_t n_set;
} UnitProperty;

#define TUNE_PROPERTIES_MAX 8u
typedef struct UnitProperties {
        UnitProperty items[TUNE_PROPERTIES_MAX];
        size_t n;
} UnitProperties;
void unit_properties_clear(UnitProperties *p);
#define _cleanup_unit_properties_ _cleanup_(unit_properties_clear)

/* With `reset` the same properties as they are where nobody has said anything. -ENOMEM. */
int tune_properties(const DomainDef *def, bool reset, UnitProperties *ret);

/* What the supervisor is told about QEMU's threads (PLAN_PINS); new string, NULL: nothing. */
int tune_pins(const DomainDef *def, char **ret);

int tune_check(const DomainDef *def, Fault *f);
