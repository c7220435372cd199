/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _const_ __attribute__((const))
#define _pure_ __attribute__((pure))
#define _noreturn_ __attribute__((noreturn))
#define _sentinel_ __attribute__((sentinel))
#define _weak_ __attribute__((weak))
#define _fallthrough_ __attribute__((fallthrough))

/* Does not compile for a pointer, which plain sizeof(a) / sizeof(a[0]) silently accepts. */
#define ARRAY_SIZE(a)                                                                                   \
        (sizeof(a) / sizeof((a)[0]) +                                                                   \
         0 * sizeof(struct { int not_an_array : 1 - 2 * __builtin_types_compatible_p(typeof(a), typeof(&(a)[0])); }))

#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) - offsetof(type, member)))

#define MIN(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
#define MAX(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })

/* The result of a function that always fails, as errno or as status of a program: neither compilers nor analyzers see that from where it is called. */
static inline int as_negative(int r) {
        if (r >= 0)
                __builtin_unreachable();
        return r;
}

static inline int as_positive(int r) {
        if (r <= 0)
                __builtin_unreachable();
        return r;
}

#define TAKE(value, empty) ({ typeof(value) *_p = &(value); typeof(value) _v = *_p; *_p = (empty); _v; })
/* Hand over what a _cleanup_ variable owns. */
#define TAKE_PTR(ptr) TAKE(ptr, NULL)
#define TAKE_FD(fd) TAKE(fd, -1)

/* What can't be NULL where it stands, whatever its type says. */
#define ASSERT_PTR(ptr) ({ typeof(ptr) _a = (ptr); assert(_a); _a; })

/* Defines the function that _cleanup_() wants, for a destructor that returns NULL. */
#define DEFINE_CLEANUP(type, func)                                                                      \
        static inline _unused_ void func##p(type *p) {                                                  \
                if (*p)                                                                                 \
                        *p = func(*p);                                                                  \
        }

/* For destructors of libraries, which return nothing. */
#define DEFINE_CLEANUP_VOID(type, func)                                                                 \
        static inline _unused_ void func##p(type *p) {                                                  \
                if (*p) {                                                                               \
                        func(*p);                                                                       \
                        *p = NULL;                                                                      \
                }                                                                                       \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

#define _cleanup_free_ _cleanup_(freep)
