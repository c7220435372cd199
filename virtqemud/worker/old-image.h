/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "macro.h"

/* Images of the formats vmdk, qed and qcow, which may name other files: those that do are not for QEMU, which has no files but those it is given. */

#define OLD_IMAGE_READ ((size_t) 64 * 1024)   /* bytes from the start of the image that are enough */
#define OLD_IMAGE_MIN ((size_t) 512)          /* shorter ones are filled up with zeros */

bool old_image_format(const char *format);
/* What the guest sees of it, in bytes. -EBADMSG, with a static *ret_problem ("is no vmdk image"): it is none, or of no use alone. */
int old_image_parse(const char *format, const void *data, size_t length, uint64_t *ret_size, const char **ret_problem);
