/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../def/wipe-def.h"
#include "fault.h"

/* Bytes between a volume and a descriptor of somebody else, and over a volume. */

typedef struct Transfer {
        int volume, other;
        uint64_t offset;             /* in the volume */
        uint64_t length;             /* 0: to the end */
        bool sparse;                 /* zeros need not be there */
        uint64_t *ret_done;          /* bytes that came through */
} Transfer;

int transfer_upload(const Transfer *t, Fault *f);
int transfer_download(const Transfer *t, Fault *f);

int wipe(int fd, WipeAlgorithm algorithm, Fault *f);
