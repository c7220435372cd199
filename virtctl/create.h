/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cloud-seed.h"
#include "machine-words.h"
#include "made.h"

/* A VM that is to be made, with its storage. */

#define NO_DISK SIZE_MAX

typedef struct Create {
        Client *client;
        NewMachine machine;
        Image image;
        size_t image_disk, seed_disk;    /* indices of disks, or NO_DISK */
        bool image_is_volume;            /* also where a path was given */
        bool overlay;
        CloudSeed seed;
} Create;

/* Gives every volume that is to be made its pool, name and format, and looks whether those that should be there are. Changes nothing. */
int create_plan_storage(Create *x);
/* Makes them. 0, or an exit status, and it has been told; what is made is in `made`. */
int create_make_storage(Create *x, Made *made);
