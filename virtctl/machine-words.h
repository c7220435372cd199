/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client.h"
#include "default-pool.h"
#include "machine.h"

/* What the options of a new VM say of its hardware. 0, or an exit status, and it has been told. */

/* The image that a disk is made from: a file, or a volume. */
typedef struct Image {
        char *path;
        char *pool, *volume;
        char *format;           /* of a file: always set */
} Image;
void image_clear(Image *i);
#define _cleanup_image_ _cleanup_(image_clear)

int words_read_disks(Client *c, NewMachine *m);
int words_read_nics(Client *c, NewMachine *m);
/* Memory, processors, firmware, kernel, display. */
int words_read_hardware(Client *c, NewMachine *m);
int words_read_image(Client *c, const char *text, Image *ret);
