/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-line.h"

#include <ctype.h>
#include <string.h>

#include "mem.h"
#include "str.h"

bool json_line_is_deep(const char *line, size_t length, unsigned max) {
        unsigned depth = 0;
        bool quoted = false;

        for (size_t i = 0; i < length; i++)
                if (quoted && line[i] == '\\')
                        i++;
                else if (line[i] == '"')
                        quoted = !quoted;
                else if (!quoted && (line[i] == '{' || line[i] == '[') && ++depth > max)
                        return true;
                else if (!quoted && (line[i] == '}' || line[i] == ']') && depth > 0)
                        depth--;
        return false;
}

/* How many digits there are that are a number beyond INT64_MAX, but none beyond UINT64_MAX; 0: they aren't. */
static size_t large_number(const char *p, const char *end) {
        char digits[21] = {};
        uint64_t value;
        size_t n = 0;

        while (p + n < end && isdigit((unsigned char) p[n]))
                n++;
        if (n >= sizeof(digits) || (p + n < end && strchr(".eE", p[n])))
                return 0;
        memcpy(digits, p, n);
        return parse_u64(digits, 10, &value) >= 0 && value > INT64_MAX ? n : 0;
}

/* The line with such numbers as strings. */
static char *quote_large_numbers(const char *line, size_t length) {
        const char *end = line + length;
        _cleanup_text_ Text t = TEXT_INIT;
        bool quoted = false;

        for (const char *p = line; p < end; p++) {
                bool first = !quoted && isdigit((unsigned char) *p) && (p == line || strchr(":,[ \t", p[-1]));
                size_t n = first ? large_number(p, end) : 0;

                if (n > 0) {
                        text_addf(&t, "\"%.*s\"", (int) n, p);
                        p += n - 1;
                        continue;
                }
                if (quoted && *p == '\\' && p + 1 < end)
                        text_addn(&t, p++, 1);
                else if (*p == '"')
                        quoted = !quoted;
                text_addn(&t, p, 1);
        }
        return text_finish(&t);
}

json_t *json_line_parse(const char *line, size_t length, json_error_t *error) {
        json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES, error);
        _cleanup_free_ char *quoted = NULL;

        if (root || json_error_code(error) != json_error_numeric_overflow)
                return root;
        quoted = quote_large_numbers(line, length);
        return quoted ? json_loads(quoted, JSON_REJECT_DUPLICATES, error) : NULL;
}
