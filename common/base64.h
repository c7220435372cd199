/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* RFC 4648, with padding and without line breaks. */

/* New string; NULL: out of memory. */
char *base64_encode(const void *data, size_t length);
/* New bytes, at least one, with a NUL behind them. -EBADMSG: no base64; -ENOMEM. */
int base64_decode(const char *text, void **ret, size_t *ret_length);
