/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* What must be known of a qcow2 header to hand out its chain. Read here rather than by qemu-img: it is a hundred bytes of bounded
 * parsing against a program that opens whatever the image names. */
typedef struct Qcow2Header {
        uint64_t size;              /* virtual, bytes */
        char *backing;              /* as written in the image, or NULL */
        char *backing_format;       /* or NULL: not recorded */
        bool data_file;             /* the data lies in another file */
        bool lazy_refcounts;        /* counts may be behind after a crash, and are then made anew */
        uint32_t encryption;        /* 0: none; 1: AES of old; 2: LUKS */
} Qcow2Header;

#define QCOW2_READ ((size_t) 64 * 1024)   /* bytes from the start of the image that are enough */

/* An image of version 3 in which nothing is written yet, into the empty file; not synced. Of `what`, `size` (which is rounded up to sectors), the backing
 * image and `lazy_refcounts` are taken. -EFBIG, -ENAMETOOLONG: QEMU could not read it, and nothing is of use that was written. */
int qcow2_write_empty(int fd, const Qcow2Header *what);

/* 0; -EBADMSG with a static *ret_problem ("is no qcow2 image: …"); -ENOMEM. */
int qcow2_parse(const void *data, size_t length, Qcow2Header *ret, const char **ret_problem);
void qcow2_clear(Qcow2Header *h);
