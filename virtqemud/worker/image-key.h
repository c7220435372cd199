/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "image-file.h"

/* A name for an open image that is the same on all hosts which see it: for files of a file server, by its export and the inode; for
 * block devices of LVM, multipath or a SAN, by their own identity. NULL: there is none. */
char *image_shared_key(const ImageFile *file);

/* The "SOURCE" of a mount in the text of /proc/self/mountinfo, if its file system is one that several hosts see as one; or NULL. */
char *image_mount_source(const char *mountinfo, uint64_t mount_id);
