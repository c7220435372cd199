/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../plan/qemu-img.h"
#include "pool-run.h"
#include "sdbus.h"

/* What is done with volumes. Each answers the call, now or later: with a job where it takes long, else ("/" in its place) when it is done.
 * FAULT_BUSY, FAULT_INVALID_STATE if it can't begin. */

typedef struct VolumeCreate {
        Preallocation preallocation;
        Volume *origin;              /* whose content it gets; NULL: none */
        struct Secret *origin_secret; /* what opens it; NULL: it is not encrypted */
        bool foreign_backing;        /* the chain of the origin may lead out of all pools */
        bool no_wait;                /* answered with a job at once */
} VolumeCreate;
/* Of a completed definition; stays the caller's. The answer is `oo`: the volume and the job. */
int volume_create(Pool *p, VolumeDef *def, const VolumeCreate *how, sd_bus_message *call, Fault *f);

/* What an encrypted one is opened with: the secret that is said by the option of that name (its UUID), or the one for the volume's path. */
int volume_find_secret(const Volume *v, const char *uuid, const char *option, struct Secret **ret, Fault *f);

typedef struct VolumeResize {
        uint64_t capacity;           /* bytes */
        bool shrink, allocate, no_wait;
        const char *secret;          /* UUID of the one an encrypted image is opened with; NULL: the one for its path */
} VolumeResize;
/* The answer of these is `o`, the job. */
int volume_remove(Volume *v, sd_bus_message *call, Fault *f);
int volume_resize(Volume *v, const VolumeResize *how, sd_bus_message *call, Fault *f);
int volume_wipe(Volume *v, const char *algorithm, bool no_wait, sd_bus_message *call, Fault *f);
int volume_transfer(Volume *v, bool up, int fd, uint64_t offset, uint64_t length, bool sparse, bool no_wait, sd_bus_message *call, Fault *f);

/* What it is taken for from now on; `format` is a word. The answer of the first is nothing, of the second `s`: what it seems to be. */
int volume_set_format(Volume *v, const char *format, sd_bus_message *call, Fault *f);
int volume_probe_format(Volume *v, sd_bus_message *call, Fault *f);

/* The answer is `h`. */
int volume_open(Volume *v, bool writable, sd_bus_message *call, Fault *f);

/* Path of the object. */
char *volume_object_path(const Pool *p, const char *id);
