/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-set.h"

#include <string.h>

#include "mem.h"
#include "str.h"

static int read_number(const char **text, uint64_t *ret) {
        size_t n = strspn(*text, "0123456789");
        _cleanup_free_ char *digits = strndup(*text, n);

        if (!digits)
                return -ENOMEM;
        if (n == 0 || n > 5 || parse_u64(digits, 10, ret) < 0 || *ret >= CPU_SET_MAX)
                return -EINVAL;
        *text += n;
        return 0;
}

static int read_range(const char **text, uint8_t *set, size_t *n_set) {
        bool without = **text == '^';
        uint64_t first, last;
        int r;

        *text += without;
        r = read_number(text, &first);
        last = first;
        if (r >= 0 && **text == '-') {
                (*text)++;
                r = read_number(text, &last);
        }
        if (r < 0 || last < first)
                return r < 0 ? r : -EINVAL;
        for (uint64_t cpu = first; cpu <= last; cpu++) {
                if (without)
                        set[cpu / 8] &= (uint8_t) ~(1u << cpu % 8);
                else
                        set[cpu / 8] |= (uint8_t) (1u << cpu % 8);
        }
        *n_set = MAX(*n_set, (size_t) last / 8 + 1);
        return 0;
}

int cpu_set_read(const char *text, uint8_t **ret, size_t *ret_n) {
        _cleanup_free_ uint8_t *set = new0(uint8_t, CPU_SET_MAX / 8);
        size_t n = 0;
        bool any = false;

        if (!set)
                return -ENOMEM;
        for (;; text++) {
                int r = read_range(&text, set, &n);

                if (r < 0)
                        return r;
                if (!*text)
                        break;
                if (*text != ',')
                        return -EINVAL;
        }
        for (size_t i = 0; i < n; i++)
                any = any || set[i];
        if (!any)
                return -EINVAL;
        *ret = TAKE_PTR(set);
        *ret_n = n;
        return 0;
}
