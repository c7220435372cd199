/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "image-file.h"

/* Files without a name, for the worker: may block. They are gone when the last one who has them open is, however that ends. */

/* In that folder. Whoever gets the descriptor may also open it once more. */
int image_scratch_open(const char *folder, ImageFile *ret, Fault *f);
/* An empty qcow2 image for `size` bytes of the guest, beside the image `path`, whose changes it is to take. */
int image_layer_open(const char *path, uint64_t size, ImageFile *ret, Fault *f);
