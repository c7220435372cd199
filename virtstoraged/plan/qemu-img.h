/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/volume-def.h"

/* Command lines of qemu-img. Paths are absolute, so that no word can be an option or a protocol. -ENOMEM. */

typedef enum Preallocation { PREALLOCATION_OFF, PREALLOCATION_METADATA, PREALLOCATION_FALLOC, PREALLOCATION_FULL, _PREALLOCATION_MAX,
                             _PREALLOCATION_INVALID = -EINVAL } Preallocation;
DECLARE_ENUM(Preallocation, preallocation);

/* What QEMU calls a format; NULL: none. */
const char *qemu_img_driver(VolumeFormat format);

/* Where the value of a secret is read from; NULL: there is none. */
#define QEMU_IMG_SECRET "/dev/fd/7"
#define QEMU_IMG_ORIGIN_SECRET "/dev/fd/8"

/* An image that is read. */
typedef struct ImageSource {
        const char *path;
        VolumeFormat format;
        const char *secret;          /* file with its passphrase; NULL: not encrypted */
} ImageSource;

int qemu_img_create(const VolumeDef *def, const char *path, Preallocation preallocation, const char *secret, char ***ret);
int qemu_img_convert(const ImageSource *from, const VolumeDef *def, const char *path, Preallocation preallocation, const char *secret, char ***ret);
int qemu_img_resize(const char *path, VolumeFormat format, uint64_t capacity, bool shrink, const char *secret, char ***ret);

/* What "-p" has printed last: "    (12.50/100%)\r"; in hundredths of a percent. -EAGAIN: nothing yet. */
int qemu_img_progress(const char *text, unsigned *ret);
