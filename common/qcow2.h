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
        uint32_t encryption;        /* 0: none; 1: AES of old; 2: LUKS */
} Qcow2Header;

#define QCOW2_READ ((size_t) 64 * 1024)   /* bytes from the start of the image that are enough */

/* An image of version 3 in which nothing is written yet and nothing below it is named, into the empty file. `size` is rounded up to sectors. */
int qcow2_write_empty(int fd, uint64_t size);

/* 0; -EBADMSG with a static *ret_problem ("is no qcow2 image: …"); -ENOMEM. */
int qcow2_parse(const void *data, size_t length, Qcow2Header *ret, const char **ret_problem);
void qcow2_clear(Qcow2Header *h);
