/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "sdbus.h"

/* Bytes of an input that are still to be used. Where there are none left, all is zero. */
typedef struct Bytes {
        const uint8_t *data;
        size_t size;
        const char *const *words;  /* ends in NULL */
        char *const *paths;        /* of objects that are there; ends in NULL, may be NULL */
} Bytes;

uint8_t bytes_take(Bytes *b);
uint16_t bytes_take16(Bytes *b);

/* Appends values of a signature to a message. Negative: it is no longer one that can be sent. */
int values_append(sd_bus_message *m, const char *signature, Bytes *b);
