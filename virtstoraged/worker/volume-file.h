/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/qemu-img.h"
#include "folder.h"
#include "run-program.h"

/* Volumes that are files: made, changed, removed. */

/* A volume whose content the new one gets. */
typedef struct VolumeOrigin {
        ImageSource image;           /* path NULL: none */
        uint64_t capacity;
        const char *const *chain;    /* its files, ending in NULL */
        SecretValue secret;          /* its passphrase, if it is encrypted */
} VolumeOrigin;

typedef struct VolumeOrder {
        VolumeDef *def;
        const char *part;            /* what it is called while it is not finished */
        Preallocation preallocation;
        VolumeOrigin origin;
        SecretValue secret;          /* its passphrase, if it is to be encrypted */
} VolumeOrder;

/* Nobody sees half of it; whatever goes wrong, nothing is left. */
int volume_file_create(const Folder *d, const VolumeOrder *o, VolumeInfo *ret, Fault *f);
/* Its origin's content into a device that is there. */
int volume_copy_to_device(const VolumeOrder *o, const char *device, Fault *f);
int volume_file_remove(const Folder *d, const char *name, Fault *f);

typedef struct ResizeOrder {
        const char *name;
        VolumeFormat format;
        uint64_t capacity;
        bool shrink, allocate;
        SecretValue secret;
} ResizeOrder;
int volume_file_resize(const Folder *d, const ResizeOrder *o, Fault *f);
