/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "made.h"

/* Volumes that a VM is made of. Each call waits for its job; 0, or an exit status, and it has been told. */

typedef struct VolumeWish {
        const char *pool;            /* object */
        const char *name, *format;
        uint64_t size;               /* 0: that of what it is made from */
        const char *clone_from;      /* path of a volume, or NULL */
        const char *backing, *backing_format;
        bool foreign_backing;        /* it need not be in a pool */
} VolumeWish;

int new_volume(Made *m, const VolumeWish *w, char **ret_object);
/* Everything from a file. */
int new_volume_fill(Made *m, const char *object, int fd);
/* Never less than it has. */
int new_volume_grow(Made *m, const char *object, uint64_t size);

/* A pool. *ret_format is what its volumes are if nobody says anything: pools that are no folders have raw ones only. */
int new_volume_pool(Client *c, const char *name, char **ret_object, const char **ret_format);
/* Started if need be. */
int new_volume_start_pool(Client *c, const char *object);
