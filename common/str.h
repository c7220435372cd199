/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>
#include <string.h>

#include "macro.h"

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* Like streq(), but NULL equals NULL. */
static inline bool streq_null(const char *a, const char *b) {
        return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool is_empty(const char *s) {
        return !s || !*s;
}

static inline const char *yes_no(bool b) {
        return b ? "yes" : "no";
}

/* The rest of `s` after `prefix`, or NULL. */
const char *str_after(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool is_utf8(const char *s);
/* Makes '?' of bytes that are no UTF-8, as where a text was cut, and of control characters other than new lines and tabulators. */
void str_make_text(char *s);

/* FNV-1a: the same everywhere and for good, for names of files; anybody can make two texts that have the same. */
uint64_t str_hash(const char *s);

/* asprintf() that returns the string or NULL. */
char *strf(const char *fmt, ...) _printf_(1, 2);

/* Strict numbers: the whole string, no sign or blank, no overflow. -EINVAL or -ERANGE. Base 0 takes 0x…; a leading 0 stays decimal. */
int parse_u64(const char *s, unsigned base, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_i64(const char *s, int64_t *ret);

/* A factor for libvirt's size units: "b" "bytes" "KB" "k" "KiB" "MB" "M" "MiB" … "EiB". -EINVAL if unknown. */
int parse_size_unit(const char *unit, uint64_t *ret);

/* Edit distance of two words, counting at most `max`; used to suggest the nearest known name. */
unsigned str_distance(const char *a, const char *b, unsigned max);
/* The word of a NULL-terminated list that is near enough to be meant, or NULL. */
const char *str_nearest(const char *word, const char *const *words, size_t n);

/* NULL-terminated vectors of owned strings. */
char **strv_free(char **v);
size_t strv_length(char *const *v);
/* Appends a copy; *v may be NULL. */
int strv_push(char ***v, const char *s);
/* At a place from 0 to the length. */
int strv_insert(char ***v, size_t at, const char *s);
/* The same for many: *n is the length, so that it need not be counted each time. */
int strv_push_nth(char ***v, size_t *n, const char *s);
/* Appends and takes over `s`, also on failure. */
int strv_take(char ***v, char *s);
int strv_pushf(char ***v, const char *fmt, ...) _printf_(2, 3);
bool strv_contains(char *const *v, const char *s);
/* The same strings in the same order; NULL is as good as an empty one. */
bool strv_equal(char *const *a, char *const *b);
char **strv_copy(char *const *v);
char *strv_join(char *const *v, const char *separator);
DEFINE_CLEANUP(char **, strv_free)
#define _cleanup_strv_ _cleanup_(strv_freep)

/* Growing text. A failed allocation is remembered; text_finish() then returns NULL. Start with TEXT_INIT. */
typedef struct Text {
        char *data;
        size_t length, allocated;
        bool failed;
} Text;
#define TEXT_INIT ((Text) {})

void text_add(Text *t, const char *s);
void text_addn(Text *t, const char *s, size_t n);
void text_addf(Text *t, const char *fmt, ...) _printf_(2, 3);
void text_clear(Text *t);
char *text_finish(Text *t);
#define _cleanup_text_ _cleanup_(text_clear)
