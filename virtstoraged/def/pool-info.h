/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "volume-def.h"

/* What is in a pool, as it was found: what virtstoraged keeps, and what its worker tells it. */

typedef struct VolumeInfo {
        char *name, *path;
        char *key;                   /* who it is; the path where nothing better is known */
        VolumeKind kind;
        VolumeFormat format;
        uint64_t capacity;           /* bytes a guest sees */
        uint64_t allocation;         /* bytes it takes */
        uint64_t physical;           /* bytes from its beginning to its end */
        char *thin_pool;             /* it is in, of LVM; NULL: none */
        char *backing_path;          /* NULL: none */
        VolumeFormat backing_format;
        EncryptionFormat encryption; /* of the image, by QEMU */
        bool has_permissions;
        uint32_t mode, owner, group;
        uint64_t atime_usec, mtime_usec, ctime_usec; /* CLOCK_REALTIME; 0: not known */
        uint64_t dev, inode;         /* 0: not known */
        char *problem;               /* what is wrong with it; NULL: nothing */
} VolumeInfo;

typedef struct PoolInfo {
        uint64_t capacity, allocation, available;
        VolumeInfo *volumes;
        size_t n, allocated;
        char *thin_pool;             /* of LVM, for new volumes; NULL: none */
} PoolInfo;
#define _cleanup_pool_info_ _cleanup_(pool_info_clear)

#define VOLUME_NAME_MAX 255u
#define POOL_VOLUMES_MAX 100000u

void volume_info_clear(VolumeInfo *v);
void pool_info_clear(PoolInfo *p);
/* Takes over `v`, also on failure, and clears it. What has no name of a volume (volume_name_check()), whoever says so, is left out. -E2BIG, -ENOMEM. */
int pool_info_add(PoolInfo *p, VolumeInfo *v);
VolumeInfo *pool_info_find(const PoolInfo *p, const char *name);
bool volume_info_equal(const VolumeInfo *a, const VolumeInfo *b);

json_t *volume_info_to_json(const VolumeInfo *v);
/* -EBADMSG. */
int volume_info_from_json(const json_t *json, VolumeInfo *ret);

/* As XML, without what its definition said and nobody can see. */
int volume_info_to_xml(const VolumeInfo *v, char **ret);

/* Whether a volume may be called so in a pool of files: no '/', no control characters, not hidden, not longer than file names. */
int volume_name_check(const char *name, Fault *f);
