/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/volume-def.h"

/* What an image says of itself: a few bounded reads, and nothing that it names is opened. */
typedef struct ImageInfo {
        uint64_t capacity;
        char *backing;               /* as written in the image; NULL: none */
        VolumeFormat backing_format; /* FORMAT_UNSET: not recorded */
        EncryptionFormat encryption;
} ImageInfo;
#define _cleanup_image_info_ _cleanup_(image_info_clear)
void image_info_clear(ImageInfo *i);

/* Reads up to `length` bytes at `offset`, as pread() does; so that tests and the fuzzer need no files. */
typedef struct ImageReader {
        long (*read)(void *data, size_t length, uint64_t offset, void *userdata);
        uint64_t size;               /* of the file */
        void *userdata;
} ImageReader;

/* -EBADMSG with a static *ret_problem ("is no qcow2 image: …"). For a format without a header the size of the file. */
int image_info_read(const ImageReader *reader, VolumeFormat format, ImageInfo *ret, const char **ret_problem);

/* Which format it seems to be. A guest that writes to a raw image decides what the answer is. */
VolumeFormat image_info_guess(const ImageReader *reader);
