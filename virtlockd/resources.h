/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <uthash.h>

#include "lease.h"

/* The resources of one lockspace that this host has leases of. */
typedef struct Resource {
        char *file;              /* in the lockspace's folder */
        int anchor;              /* O_PATH of it; also in systemd's fd store */
        Lease *leases;
        size_t n;
        bool lost;               /* its file is out of place, and that was told */
        bool closed;             /* somebody closed it: perhaps a lease has ended */
        unsigned looks;          /* so often it is still to be looked at */
        uint64_t generation;     /* changes with every lease that is given */
        UT_hash_handle hh;
} Resource;

typedef struct Resources {
        char *prefix;            /* of names in the fd store */
        Resource *all;           /* hash by file, in the order they came */
        uint64_t last_generation;
} Resources;

int resources_init(Resources *s, const char *lockspace);
/* Descriptors that are kept stay kept. */
void resources_clear(Resources *s);
/* Those whose anchors an earlier process has left. */
int resources_restore(Resources *s);

Resource *resources_find(const Resources *s, const char *file);
/* A new one, or a new anchor of a known one. Takes over `anchor`, also on failure. */
int resources_put(Resources *s, const char *file, int anchor, Resource **ret);
void resources_remove(Resources *s, Resource *r);
size_t resources_count_leases(const Resources *s);

/* Replaces its leases by those of `host` among the given ones. */
int resource_set_leases(Resource *r, const Lease *leases, size_t n, const char *host);
int resource_add_lease(Resource *r, const Lease *lease, const char *host);

/* The current one may be removed inside. */
#define RESOURCES_FOREACH(var, set)                                                                     \
        for (Resource *var = (set)->all, *var##_next = var ? var->hh.next : NULL; var;                  \
             var = var##_next, var##_next = var ? var->hh.next : NULL)
