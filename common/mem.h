/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include "macro.h"

#define new(type, n) ((type *) reallocarray(NULL, (n), sizeof(type)))
#define new0(type, n) ((type *) calloc((n) ?: 1, sizeof(type)))

/* Make room for `need` elements; doubles, so that appending stays linear. The new space is zeroed. */
#define GROW(array, allocated, need) grow_array((void **) &(array), &(allocated), (need), sizeof(*(array)))

static inline bool grow_array(void **array, size_t *allocated, size_t need, size_t size) {
        size_t n;
        void *p;

        if (need <= *allocated)
                return true;

        n = MAX(need, *allocated * 2);
        p = reallocarray(*array, n, size);
        if (!p)
                return false;

        memset((char *) p + *allocated * size, 0, (n - *allocated) * size);
        *array = p;
        *allocated = n;
        return true;
}

/* Replace an owned string by another owned one. */
static inline void free_and_replace(char **p, char *value) {
        free(*p);
        *p = value;
}

/* Replace an owned string by a copy of `value`, which may be NULL. */
static inline int free_and_strdup(char **p, const char *value) {
        char *copy = NULL;

        if (value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        free_and_replace(p, copy);
        return 0;
}
