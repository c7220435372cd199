/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usage.h"

#include <string.h>

#include "str.h"

/* [PROTO:]PORT[-PORT] must be there, although it begins and ends with brackets. */
static bool in_brackets(const char *s, size_t n) {
        int depth = 0;

        for (size_t i = 0; i < n; i++) {
                depth += s[i] == '[' ? 1 : s[i] == ']' ? -1 : 0;
                if (depth == 0)
                        return i > 0 && i + 1 == n;
        }
        return false;
}

static const char *take(const char *s, UsageWord *ret) {
        size_t n = strcspn(s, " ");
        const char *next = s + n + strspn(s + n, " ");
        UsageWord w = { .optional = in_brackets(s, n) };

        if (w.optional) {
                s++;
                n -= 2;
        }
        w.many = n > 3 && strncmp(s + n - 3, "...", 3) == 0;
        w.text = s;
        w.length = w.many ? n - 3 : n;
        *ret = w;
        return next;
}

bool usage_word(const char *arguments, size_t index, UsageWord *ret) {
        UsageWord w = {};

        for (size_t i = 0; *arguments; i++) {
                arguments = take(arguments, &w);
                if (i == index || (!*arguments && w.many)) {
                        *ret = w;
                        return true;
                }
        }
        return false;
}

void usage_count(const char *arguments, int *ret_min, int *ret_max) {
        UsageWord w = {};

        *ret_min = *ret_max = 0;
        while (*arguments) {
                arguments = take(arguments, &w);
                *ret_min += !w.optional;
                ++*ret_max;
        }
        if (w.many)
                *ret_max = -1;
}

bool usage_ends_raw(const char *arguments, int *ret) {
        UsageWord w = {};
        int n = 0;

        for (; *arguments; n++)
                arguments = take(arguments, &w);
        if (n == 0 || w.length != strlen("ARGUMENT") || strncmp(w.text, "ARGUMENT", w.length) != 0)
                return false;
        *ret = n - 1;
        return true;
}
