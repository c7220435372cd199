/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base64.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "macro.h"
#include "mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t length) {
        char *text = malloc((length + 2) / 3 * 4 + 1), *to = text;
        const uint8_t *from = data;

        if (!text)
                return NULL;
        for (size_t i = 0; i < length; i += 3) {
                size_t n = MIN(length - i, (size_t) 3);
                uint32_t bits = (uint32_t) from[i] << 16 | (n > 1 ? (uint32_t) from[i + 1] << 8 : 0) | (n > 2 ? from[i + 2] : 0);

                *to++ = alphabet[bits >> 18];
                *to++ = alphabet[bits >> 12 & 63];
                *to++ = n > 1 ? alphabet[bits >> 6 & 63] : '=';
                *to++ = n > 2 ? alphabet[bits & 63] : '=';
        }
        *to = '\0';
        return text;
}

static int value_of(char c) {
        const char *found = c ? strchr(alphabet, c) : NULL;

        return found ? (int) (found - alphabet) : -1;
}

/* Four letters to at most three bytes; how many, or -1. */
static int decode_group(const char *from, bool last, uint8_t *to) {
        int n = !last || from[3] != '=' ? 3 : from[2] != '=' ? 2 : 1;
        uint32_t bits = 0;

        for (int i = 0; i < 4; i++) {
                int value = i <= n ? value_of(from[i]) : from[i] == '=' ? 0 : -1;

                if (value < 0)
                        return -1;
                bits = bits << 6 | (uint32_t) value;
        }
        for (int i = 0; i < n; i++)
                to[i] = (uint8_t) (bits >> (16 - 8 * i));
        return n;
}

int base64_decode(const char *text, void **ret, size_t *ret_length) {
        size_t length = strlen(text), n = 0;
        _cleanup_free_ uint8_t *bytes = NULL;

        if (length % 4 != 0)
                return -EBADMSG;
        bytes = malloc(length / 4 * 3 + 1);
        if (!bytes)
                return -ENOMEM;
        for (size_t i = 0; i < length; i += 4) {
                int k = decode_group(text + i, i + 4 == length, bytes + n);

                if (k < 0)
                        return -EBADMSG;
                n += (size_t) k;
        }
        bytes[n] = 0;
        *ret = TAKE_PTR(bytes);
        *ret_length = n;
        return 0;
}
