/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sdbus.h"

#include "macro.h"

/* Which VMs have which files, from virtqemud: asked once, and again whenever it tells of a change. */
typedef struct Uses Uses;

/* Something may be something else now; or it is known for the first time. */
typedef void (*UsesChanged)(void *userdata);

int uses_new(sd_bus *bus, UsesChanged changed, void *userdata, Uses **ret);
Uses *uses_free(Uses *u);
DEFINE_CLEANUP(Uses *, uses_free)

/* From here on it is known, as soon as virtqemud answers. */
void uses_begin(Uses *u);
/* Whether it has answered, or is not there. Without a bus nobody uses anything. */
bool uses_known(const Uses *u);
/* The one VM that uses a file, and may write to it, and the target of its disk; they stay the Uses'. False: none, several, or a layer. */
bool uses_writer(const Uses *u, const char *path, const char **ret_domain, const char **ret_target);
/* Names of the VMs that use a file, each once; *ret may become NULL. -ENOMEM. */
int uses_of(const Uses *u, const char *path, char ***ret);
