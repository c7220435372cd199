/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "str.h"

/* Statistics as virtqemud gives them, as text. Names are for good: dashboards are made of them. */

/* OpenMetrics 1.0, and what Prometheus had before: there a counter's family is called as its samples are, and units
 * are not told. */
typedef enum MetricFormat { FORMAT_OPENMETRICS, FORMAT_PROMETHEUS, _METRIC_FORMAT_MAX } MetricFormat;

typedef struct MetricValue {
        const char *key, *text; /* text NULL: a number or flag */
        uint64_t number;
} MetricValue;

typedef struct MetricDomain {
        const char *name, *uuid;
        MetricValue *values;
        size_t n, allocated;
} MetricDomain;

void openmetrics_write(const MetricDomain *domains, size_t n, MetricFormat format, Text *t);
