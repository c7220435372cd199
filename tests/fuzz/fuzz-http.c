/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../virtmetrics/http.h"
#include "str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a client sends: it is waited for no longer than HTTP_HEAD_MAX bytes, how it comes in pieces does not matter, and each
 * status has a reason. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        HttpRequest whole = {}, piece = {};
        int status = http_parse((const char *) data, size, &whole), first = 0;
        size_t step = size / 16 + 1;

        if (status == 0 ? size >= HTTP_HEAD_MAX : streq(http_reason(status), "Internal Server Error"))
                abort();
        for (size_t n = 0; n <= size && first == 0; n += step)
                first = http_parse((const char *) data, n, &piece);
        if (first != 0 &&
            (first != status || (first == 200 && (piece.head != whole.head || piece.openmetrics != whole.openmetrics))))
                abort();
        return 0;
}
