/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "str.h"

/* Statistics as virtqemud gives them, in the text format of OpenMetrics 1.0. Names are for good: dashboards are made of them. */

typedef struct MetricValue {
        const char *key, *text; /* text NULL: a number or flag */
        uint64_t number;
} MetricValue;

typedef struct MetricDomain {
        const char *name, *uuid;
        MetricValue *values;
        size_t n, allocated;
} MetricDomain;

void openmetrics_write(const MetricDomain *domains, size_t n, Text *t);
