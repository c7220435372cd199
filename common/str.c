/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "str.h"

#include <ctype.h>
#include <stdio.h>

#include "mem.h"

const char *str_after(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_ends(const char *s, const char *suffix) {
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && streq(s + n - m, suffix);
}

/* Length of the sequence that starts at p, 0 if it is not well-formed UTF-8 (overlong, surrogate, beyond U+10FFFF). */
static size_t utf8_sequence(const unsigned char *p) {
        uint32_t c;
        size_t n;

        if (p[0] < 0x80)
                return 1;
        if (p[0] >= 0xc2 && p[0] <= 0xdf)
                n = 2, c = p[0] & 0x1f;
        else if (p[0] >= 0xe0 && p[0] <= 0xef)
                n = 3, c = p[0] & 0x0f;
        else if (p[0] >= 0xf0 && p[0] <= 0xf4)
                n = 4, c = p[0] & 0x07;
        else
                return 0;

        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }
        if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        return n;
}

bool is_utf8(const char *s) {
        const unsigned char *p = (const unsigned char *) s;

        while (*p) {
                size_t n = utf8_sequence(p);

                if (n == 0)
                        return false;
                p += n;
        }
        return true;
}

void str_make_text(char *s) {
        unsigned char *p = (unsigned char *) s;

        while (*p) {
                size_t n = utf8_sequence(p);

                if (n == 0 || (*p < ' ' && *p != '\n' && *p != '\t') || *p == 0x7f)
                        *p = '?';
                p += n ?: 1;
        }
}

uint64_t str_hash(const char *s) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (; *s; s++)
                hash = (hash ^ (unsigned char) *s) * UINT64_C(0x100000001b3);
        return hash;
}

char *strf(const char *fmt, ...) {
        va_list ap;
        char *s;
        int r;

        va_start(ap, fmt);
        r = vasprintf(&s, fmt, ap);
        va_end(ap);
        return r < 0 ? NULL : s;
}

static int digit_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return 99;
}

int parse_u64(const char *s, unsigned base, uint64_t *ret) {
        uint64_t v = 0;

        assert(s && ret);

        if (base == 0 || base == 16) {
                if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
                        s += 2, base = 16;
                else if (base == 0)
                        base = 10;
        }
        if (!*s)
                return -EINVAL;

        for (; *s; s++) {
                int d = digit_value(*s);

                if (d >= (int) base)
                        return -EINVAL;
                if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, (uint64_t) d, &v))
                        return -ERANGE;
        }
        *ret = v;
        return 0;
}

int parse_u32(const char *s, uint32_t *ret) {
        uint64_t v;
        int r = parse_u64(s, 10, &v);

        if (r < 0)
                return r;
        if (v > UINT32_MAX)
                return -ERANGE;
        *ret = (uint32_t) v;
        return 0;
}

int parse_i64(const char *s, int64_t *ret) {
        bool negative = s[0] == '-';
        uint64_t v;
        int r = parse_u64(s + negative, 10, &v);

        if (r < 0)
                return r;
        if (v > (uint64_t) INT64_MAX)
                return -ERANGE;
        *ret = negative ? -(int64_t) v : (int64_t) v;
        return 0;
}

int parse_size_unit(const char *unit, uint64_t *ret) {
        static const char letters[] = "kmgtpe";
        uint64_t factor = 1, step;
        const char *at;

        if (strcasecmp(unit, "b") == 0 || strcasecmp(unit, "byte") == 0 || strcasecmp(unit, "bytes") == 0) {
                *ret = 1;
                return 0;
        }
        if (!*unit || !(at = strchr(letters, tolower((unsigned char) *unit))))
                return -EINVAL;
        if (!unit[1] || strcasecmp(unit + 1, "ib") == 0)
                step = 1024;
        else if (strcasecmp(unit + 1, "b") == 0)
                step = 1000;
        else
                return -EINVAL;

        for (const char *p = letters; p <= at; p++)
                factor *= step;
        *ret = factor;
        return 0;
}

unsigned str_distance(const char *a, const char *b, unsigned max) {
        size_t n = strlen(a), m = strlen(b);
        unsigned row[64];

        if (n >= ARRAY_SIZE(row) || m >= ARRAY_SIZE(row))
                return max;

        for (size_t j = 0; j <= m; j++)
                row[j] = (unsigned) j;
        for (size_t i = 1; i <= n; i++) {
                unsigned diagonal = row[0];

                row[0] = (unsigned) i;
                for (size_t j = 1; j <= m; j++) {
                        unsigned change = diagonal + (tolower((unsigned char) a[i - 1]) != tolower((unsigned char) b[j - 1]));
                        unsigned insertion = MIN(row[j], row[j - 1]) + 1;

                        diagonal = row[j];
                        row[j] = MIN(change, insertion);
                }
        }
        return MIN(row[m], max);
}

const char *str_nearest(const char *word, const char *const *words, size_t n) {
        /* A third of the letters wrong is still a typing error; more is another word. */
        unsigned best = (unsigned) strlen(word) / 3 + 2;
        const char *found = NULL;

        for (size_t i = 0; i < n; i++) {
                unsigned d;

                if (!words[i])
                        continue;
                d = str_distance(word, words[i], best);
                if (d < best)
                        best = d, found = words[i];
        }
        return found;
}

char **strv_free(char **v) {
        for (char **p = v; p && *p; p++)
                free(*p);
        free(v);
        return NULL;
}

size_t strv_length(char *const *v) {
        size_t n = 0;

        while (v && v[n])
                n++;
        return n;
}

static int take_nth(char ***v, size_t n, char *s) {
        char **p;

        if (!s)
                return -ENOMEM;
        p = realloc(*v, (n + 2) * sizeof(char *)); /* n of them are in memory */
        if (!p) {
                free(s);
                return -ENOMEM;
        }
        p[n] = s;
        p[n + 1] = NULL;
        *v = p;
        return 0;
}

int strv_take(char ***v, char *s) {
        return take_nth(v, strv_length(*v), s);
}

int strv_insert(char ***v, size_t at, const char *s) {
        size_t n = strv_length(*v);
        int r = strv_push(v, s);
        char *last;

        assert(at <= n);

        if (r < 0)
                return r;
        last = (*v)[n];
        memmove(*v + at + 1, *v + at, (n - at) * sizeof(char *));
        (*v)[at] = last;
        return 0;
}

int strv_push_nth(char ***v, size_t *n, const char *s) {
        int r = take_nth(v, *n, strdup(s));

        if (r >= 0)
                (*n)++;
        return r;
}

int strv_push(char ***v, const char *s) {
        return strv_take(v, strdup(s));
}

int strv_pushf(char ***v, const char *fmt, ...) {
        va_list ap;
        char *s;
        int r;

        va_start(ap, fmt);
        r = vasprintf(&s, fmt, ap);
        va_end(ap);
        return r < 0 ? -ENOMEM : strv_take(v, s);
}

bool strv_contains(char *const *v, const char *s) {
        for (; v && *v; v++)
                if (streq(*v, s))
                        return true;
        return false;
}

bool strv_equal(char *const *a, char *const *b) {
        size_t i = 0;

        while (a && b && a[i] && b[i] && streq(a[i], b[i]))
                i++;
        return !(a && a[i]) && !(b && b[i]);
}

char **strv_copy(char *const *v) {
        _cleanup_strv_ char **copy = new0(char *, 1);

        if (!copy)
                return NULL;
        for (; v && *v; v++)
                if (strv_push(&copy, *v) < 0)
                        return NULL;
        return TAKE_PTR(copy);
}

char *strv_join(char *const *v, const char *separator) {
        Text t = TEXT_INIT;

        text_add(&t, "");
        for (char *const *p = v; p && *p; p++) {
                if (p != v)
                        text_add(&t, separator);
                text_add(&t, *p);
        }
        return text_finish(&t);
}

void text_addn(Text *t, const char *s, size_t n) {
        if (t->failed)
                return;
        if (!GROW(t->data, t->allocated, t->length + n + 1)) {
                t->failed = true;
                return;
        }
        memcpy(t->data + t->length, s, n);
        t->length += n;
        t->data[t->length] = '\0';
}

void text_add(Text *t, const char *s) {
        text_addn(t, s, strlen(s));
}

void text_addf(Text *t, const char *fmt, ...) {
        char *s;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vasprintf(&s, fmt, ap);
        va_end(ap);
        if (n < 0) {
                t->failed = true;
                return;
        }
        text_addn(t, s, (size_t) n);
        free(s);
}

void text_clear(Text *t) {
        free(t->data);
        *t = TEXT_INIT;
}

char *text_finish(Text *t) {
        char *s = NULL;

        if (!t->failed) {
                text_addn(t, "", 0);
                s = t->failed ? NULL : TAKE_PTR(t->data);
        }
        text_clear(t);
        return s;
}
