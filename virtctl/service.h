/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The daemons, as clients see them. */

typedef struct Service {
        const char *name;        /* the first word of paths below /org/virtbus */
        const char *bus_name, *daemon;
        bool of_host;            /* sessions have none of their own */
        bool has_jobs;
} Service;

/* NULL at the end. */
const Service *service_at(size_t index);
/* Whose object a path is. */
const Service *service_of(const char *path);
