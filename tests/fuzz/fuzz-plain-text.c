/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../../virtctl/plain-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing that a terminal would do something with, however the text comes in parts. */
static void check(const char *text, size_t n) {
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char) text[i], next = i + 1 < n ? (unsigned char) text[i + 1] : 0;

                if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
                        abort();
        }
}

static void write_in_parts(const char *data, size_t size, size_t step, char **ret, size_t *ret_length) {
        PlainText p = { .text = TEXT_INIT };
        FILE *out = open_memstream(ret, ret_length);

        if (!out)
                abort();
        for (size_t i = 0; i < size; i += step)
                plain_text_write(&p, data + i, size - i < step ? size - i : step, out);
        if (fclose(out) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        PlainText p = { .text = TEXT_INIT };
        char *whole = NULL, *parts = NULL;
        size_t n_whole = 0, n_parts = 0;
        json_t *json;

        write_in_parts((const char *) data, size, size ?: 1, &whole, &n_whole);
        write_in_parts((const char *) data, size, 3, &parts, &n_parts);
        if (n_whole != n_parts || memcmp(whole, parts, n_whole) != 0)
                abort();
        check(whole, n_whole);
        free(whole);
        free(parts);

        text_addn(&p.text, (const char *) data, size);
        json = plain_text_to_json(&p);
        if (!json_is_string(json))
                abort();
        json_decref(json);
        text_clear(&p.text);
        return 0;
}
