/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conf.h"

#include <dirent.h>
#include <ini.h>
#include <inttypes.h>
#include <string.h>

#include "file.h"
#include "mem.h"
#include "str.h"

/* --- values --- */

int conf_string(const ConfRow *row, const char *text, void *value, const char **ret_wanted) {
        return free_and_strdup(value, *text ? text : NULL);
}

int conf_path(const ConfRow *row, const char *text, void *value, const char **ret_wanted) {
        if (*text && text[0] != '/') {
                *ret_wanted = "an absolute path";
                return -EINVAL;
        }
        return conf_string(row, text, value, ret_wanted);
}

int conf_bool(const ConfRow *row, const char *text, void *value, const char **ret_wanted) {
        static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
                if (streq(text, yes[i]) || streq(text, no[i])) {
                        *(bool *) value = streq(text, yes[i]);
                        return 0;
                }
        *ret_wanted = "yes or no";
        return -EINVAL;
}

static int store_number(const ConfRow *row, uint64_t n, void *value) {
        if (n < row->min || (row->max != 0 && n > row->max))
                return -ERANGE;
        *(uint64_t *) value = n;
        return 0;
}

int conf_number(const ConfRow *row, const char *text, void *value, const char **ret_wanted) {
        uint64_t n;
        int r = parse_u64(text, 10, &n);

        *ret_wanted = "a whole number";
        return r < 0 ? r : store_number(row, n, value);
}

/* A number and what follows it, blanks left out. */
static int split_unit(const char *text, uint64_t *ret, const char **ret_unit) {
        size_t digits = strspn(text, "0123456789");
        _cleanup_free_ char *number = strndup(text, digits);
        int r;

        if (!number)
                return -ENOMEM;
        r = parse_u64(number, 10, ret);
        *ret_unit = text + digits + strspn(text + digits, " \t");
        return r;
}

int conf_size(const ConfRow *row, const char *text, void *value, const char **ret_wanted) {
        uint64_t n, factor = 1;
        const char *unit;
        int r;

        *ret_wanted = "a size like 64MiB";
        r = split_unit(text, &n, &unit);
        if (r >= 0 && *unit)
                r = parse_size_unit(unit, &factor);
        if (r >= 0 && __builtin_mul_overflow(n, factor, &n))
                r = -ERANGE;
        return r < 0 ? r : store_number(row, n, value);
}

int conf_duration(const ConfRow *row, const char *text, void *value, const char **ret_wanted) {
        static const struct {
                const char *unit;
                uint64_t usec;
        } units[] = {
                { "", 1000000 }, { "s", 1000000 }, { "sec", 1000000 }, { "ms", 1000 }, { "us", 1 },
                { "m", 60000000 }, { "min", 60000000 }, { "h", UINT64_C(3600000000) },
        };
        const char *unit;
        uint64_t n;
        int r;

        *ret_wanted = "a time like 90s or 2min";
        r = split_unit(text, &n, &unit);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (streq(units[i].unit, unit))
                        return __builtin_mul_overflow(n, units[i].usec, &n) ? -ERANGE : store_number(row, n, value);
        return -EINVAL;
}

int conf_enum(const ConfRow *row, const char *text, void *value, const char **ret_wanted) {
        int v = enum_from_word(row->words, text);

        *ret_wanted = "one of the known words";
        if (v < 0)
                return v;
        *(int *) value = v;
        return 0;
}

/* --- files --- */

typedef struct Parse {
        const char *path;
        const ConfRow *rows;
        size_t n;
        void *target;
        Fault *fault;
        int error;
} Parse;

static int unknown(Parse *p, int line, const char *section, const char *key) {
        const char **keys = new0(const char *, p->n);
        const char *near;
        size_t n = 0;

        fault_set(p->fault, FAULT_INVALID_ARGS, EINVAL, "%s:%d: there is no setting %.64s in section [%.64s]", p->path, line, key, section);
        for (size_t i = 0; keys && i < p->n; i++)
                keys[n++] = p->rows[i].key;
        near = keys ? str_nearest(key, keys, n) : NULL;
        for (size_t i = 0; near && i < p->n; i++)
                if (p->rows[i].key == near)
                        fault_hint(p->fault, "did you mean %s in section [%s]?", near, p->rows[i].section);
        free(keys);
        return -EINVAL;
}

static int wrong(Parse *p, int line, const ConfRow *row, const char *value, const char *wanted) {
        Text t = TEXT_INIT;
        _cleanup_free_ char *words = NULL;

        for (int i = 0; row->words && i < row->words->n; i++)
                if (row->words->words[i])
                        text_addf(&t, "%s%s", t.length > 0 ? ", " : "", row->words->words[i]);
        words = row->words ? text_finish(&t) : NULL;
        return fault_set(p->fault, FAULT_INVALID_ARGS, EINVAL, "%s:%d: %s=%.128s: expected %s", p->path, line, row->key, value,
                         words ?: wanted ?: "another value");
}

static int take(Parse *p, int line, const char *section, const char *key, const char *value) {
        for (size_t i = 0; i < p->n; i++) {
                const ConfRow *row = &p->rows[i];
                const char *wanted = NULL;
                int r;

                if (!streq(row->section, section) || !streq(row->key, key))
                        continue;
                r = row->parser(row, value, (char *) p->target + row->offset, &wanted);
                if (r == -ENOMEM)
                        return fault_oom(p->fault);
                if (r == -ERANGE && row->max != 0)
                        return fault_set(p->fault, FAULT_INVALID_ARGS, ERANGE, "%s:%d: %s=%.128s: must be from %" PRIu64 " to %" PRIu64,
                                         p->path, line, key, value, row->min, row->max);
                return r < 0 ? wrong(p, line, row, value, wanted) : 0;
        }
        return unknown(p, line, section, key);
}

/* One logical line; inih would cut long ones and knows no line numbers of ours, so it sees them one at a time. */
typedef struct Line {
        char section[128];
        const char *key, *value;
        char *owned;
} Line;

static int on_line(void *user, const char *section, const char *name, const char *value) {
        Line *l = user;

        if (!name)
                return 1;
        free(l->owned);
        l->owned = strf("%s%c%s", name, '\1', value ?: "");
        if (!l->owned)
                return 0;
        l->key = l->owned;
        l->value = strchr(l->owned, '\1') + 1;
        *strchr(l->owned, '\1') = '\0';
        return 1;
}

static int take_header(Line *l, const char *path, int line, const char *text, Fault *f) {
        const char *end = strchr(text, ']');
        size_t n = end ? (size_t) (end - text) - 1 : 0;

        if (!end || n == 0 || n >= sizeof(l->section) || end[1 + strspn(end + 1, " \t\r")])
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s:%d: expected [Section]", path, line);
        memcpy(l->section, text + 1, n);
        l->section[n] = '\0';
        return 0;
}

static int take_line(Parse *p, Line *l, int number, const char *text) {
        const char *start = text + strspn(text, " \t\r");

        if (!*start || *start == '#' || *start == ';')
                return 0;
        if (*start == '[')
                return take_header(l, p->path, number, start, p->fault);
        if (!l->section[0])
                return fault_set(p->fault, FAULT_INVALID_ARGS, EINVAL, "%s:%d: a setting before the first [Section]", p->path, number);
        l->key = NULL;
        if (strlen(start) >= INI_MAX_LINE - 2 || ini_parse_string(start, on_line, l) != 0 || !l->key || !*l->key)
                return fault_set(p->fault, FAULT_INVALID_ARGS, EINVAL, "%s:%d: expected Key=Value, shorter than %d bytes", p->path,
                                 number, INI_MAX_LINE - 2);
        return take(p, number, l->section, l->key, l->value);
}

int conf_parse(const char *path, const char *text, const ConfRow *rows, size_t n, void *target, Fault *f) {
        Parse p = { .path = path, .rows = rows, .n = n, .target = target, .fault = f };
        _cleanup_free_ char *copy = strdup(text);
        char *rest = copy, *one;
        Line l = {};
        int r = 0;

        assert(path && text && rows && target);

        if (!copy)
                return fault_oom(f);
        for (int number = 1; r >= 0 && (one = strsep(&rest, "\n")); number++)
                r = take_line(&p, &l, number, one);
        free(l.owned);
        return r;
}

static int load_file(const char *path, const ConfRow *rows, size_t n, void *target, Fault *f) {
        _cleanup_free_ char *text = NULL;
        size_t length;
        int r;

        r = file_read(path, CONF_FILE_MAX, &text, &length);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return fault_set(f, FAULT_STORE, -r, "%s: %s", path, strerror(-r));
        if (memchr(text, 0, length))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "%s: is no text file", path);
        return conf_parse(path, text, rows, n, target, f);
}

static int is_dropin(const struct dirent *e) {
        return e->d_name[0] != '.' && str_ends(e->d_name, ".conf");
}

int conf_load(const char *path, const ConfRow *rows, size_t n, void *target, Fault *f) {
        _cleanup_free_ char *folder = strf("%s.d", path);
        struct dirent **found = NULL;
        int count, r;

        assert(path && rows && target);

        if (!folder)
                return fault_oom(f);
        r = load_file(path, rows, n, target, f);
        count = scandir(folder, &found, is_dropin, alphasort);
        for (int i = 0; i < count; i++) {
                _cleanup_free_ char *file = strf("%s/%s", folder, found[i]->d_name);

                if (r >= 0)
                        r = file ? load_file(file, rows, n, target, f) : fault_oom(f);
                free(found[i]);
        }
        free(found);
        return r;
}
