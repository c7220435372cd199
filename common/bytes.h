/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* Numbers as the headers of images have them: big-endian or little-endian, and wherever they happen to stand. */
#define DEFINE_NUMBER_AT(name, bits)                                                                    \
        static inline uint##bits##_t name##bits##_at(const uint8_t *p) {                                \
                uint##bits##_t n;                                                                       \
                                                                                                        \
                memcpy(&n, p, sizeof(n));                                                               \
                return name##bits##toh(n);                                                              \
        }

DEFINE_NUMBER_AT(be, 32)
DEFINE_NUMBER_AT(be, 64)
DEFINE_NUMBER_AT(le, 32)
DEFINE_NUMBER_AT(le, 64)
#undef DEFINE_NUMBER_AT
