/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-id128.h>

#include "macro.h"

/* Objects by name and by UUID, both unique, kept in the order they came. The objects belong to the caller. */
typedef struct Registry Registry;

int registry_new(Registry **ret);
Registry *registry_free(Registry *r);
DEFINE_CLEANUP(Registry *, registry_free)

/* -EEXIST: the name or the UUID is taken. The name is copied. */
int registry_add(Registry *r, const char *name, sd_id128_t id, void *object);
void registry_remove(Registry *r, sd_id128_t id);
/* -EEXIST, -ENOENT. */
int registry_rename(Registry *r, sd_id128_t id, const char *name);

void *registry_find_name(const Registry *r, const char *name);
void *registry_find_id(const Registry *r, sd_id128_t id);
size_t registry_count(const Registry *r);

/* For REGISTRY_FOREACH(): where a walk begins, and the object that comes next (NULL after the last one). `at` is the
 * address of where the walk is, whatever type that is said to have. */
void *registry_begin(const Registry *r);
void *registry_step(void *at);

/* REGISTRY_FOREACH(Domain, d, registry) { … }: the current object may be removed inside. */
#define REGISTRY_FOREACH(Type, var, registry) \
        for (Type *var, *var##_at = registry_begin(registry); (var = registry_step(&var##_at));)
