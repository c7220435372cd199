/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "describe.h"

#include <stdio.h>
#include <stdlib.h>

#include "file.h"
#include "mem.h"
#include "str.h"

#define FILE_SIZE_MAX (1024u * 1024)

/* --- the file --- */

static void add_text(XmlTexts *texts, XmlTextKind kind, const char *name, unsigned line) {
        must(GROW(texts->items, texts->allocated, texts->n + 1) ? texts : NULL);
        texts->items[texts->n++] = (XmlText) { kind, must(strdup(name)), NULL, line };
}

/* `gap`: there were empty lines before it. */
static void go_on(XmlTexts *texts, const char *words, bool gap, const char *file, unsigned line) {
        XmlText *t = texts->n > 0 ? &texts->items[texts->n - 1] : NULL;

        if (!t) {
                fprintf(stderr, "%s:%u: a text that belongs to nothing\n", file, line);
                exit(EXIT_FAILURE);
        }
        free_and_replace(&t->text, must(strf("%s%s%s", t->text ?: "", !t->text ? "" : gap ? "\n\n" : " ", words)));
}

void xml_texts_read(XmlTexts *texts, const char *file) {
        _cleanup_free_ char *content = NULL;
        bool gap = false;
        unsigned line = 0;
        int r = file_read(file, FILE_SIZE_MAX, &content, NULL);

        if (r < 0) {
                fprintf(stderr, "%s: %s\n", file, strerror(-r));
                exit(EXIT_FAILURE);
        }
        for (char *at = content, *end; at && *at; at = end) {
                end = strchr(at, '\n');
                if (end)
                        *end++ = '\0';
                line++;
                if (*at == '#')
                        continue;
                if (*at == ' ')
                        go_on(texts, at + strspn(at, " "), gap, file, line);
                else if (*at)
                        add_text(texts, str_after(at, "== ") ? XML_TEXT_SECTION : XML_TEXT_PATH, str_after(at, "== ") ?: at, line);
                gap = !*at;
        }
}

/* --- patterns --- */

static bool is_one_of(const char *names, size_t n, const char *name, size_t length) {
        for (size_t i = 0; i < n;) {
                size_t k = 0;

                while (i + k < n && names[i + k] != ',')
                        k++;
                if (k == length && strncmp(names + i, name, length) == 0)
                        return true;
                i += k + 1;
        }
        return false;
}

static bool is_open(const char *names, size_t n) {
        return (n == 1 && *names == '*') || memchr(names, ',', n);
}

/* Where `ret_name` is not NULL, it is what stands for the last open name, of `ret_length` bytes. */
static bool fits(const char *pattern, const char *path, const char **ret_name, size_t *ret_length) {
        for (;;) {
                size_t n = strcspn(pattern, "/"), length = strcspn(path, "/");
                bool any = n == 1 && *pattern == '*' && *path != '@';

                if (!any && !is_one_of(pattern, n, path, length))
                        return false;
                if (ret_name && is_open(pattern, n)) {
                        *ret_name = path;
                        *ret_length = length;
                }
                if (!pattern[n] || !path[length])
                        return !pattern[n] && !path[length];
                pattern += n + 1;
                path += length + 1;
        }
}

bool xml_text_is_for(const XmlText *t, const char *path) {
        return t->kind == XML_TEXT_PATH && fits(t->name, path, NULL, NULL);
}

char *xml_text_name_in(const XmlText *t, const char *path) {
        const char *name = "";
        size_t length = 0;

        (void) fits(t->name, path, &name, &length);
        return must(strndup(name, length));
}

/* --- the check --- */

static void tell(void (*told)(const char *fault), char *fault) {
        told(must(fault));
        free(fault);
}

static size_t check_path(const XmlTexts *texts, const XmlPath *p, const char *file, void (*told)(const char *fault)) {
        const XmlText *first = NULL;

        for (size_t i = 0; i < texts->n; i++) {
                const XmlText *t = &texts->items[i];

                if (!xml_text_is_for(t, p->path))
                        continue;
                if (first) {
                        tell(told, strf("%s:%u: %s is described twice: also in line %u", file, t->line, p->path, first->line));
                        return 1;
                }
                first = t;
        }
        if (first)
                return 0;
        tell(told, strf("%s: %s is accepted and not described: add that as a line to its section, and below it, indented, what it is", file,
                        p->path));
        return 1;
}

/* Each name it gives has to be one. */
static bool names_something(const XmlText *t, const XmlPaths *paths, const char *name, size_t length) {
        for (size_t i = 0; i < paths->n; i++) {
                _cleanup_free_ char *is = xml_text_is_for(t, paths->items[i].path) ? xml_text_name_in(t, paths->items[i].path) : NULL;

                if (is && (!name || (strlen(is) == length && strncmp(is, name, length) == 0)))
                        return true;
        }
        return false;
}

static size_t check_names(const XmlText *t, const XmlPaths *paths, const char *file, void (*told)(const char *fault)) {
        const char *at = t->name, *last = NULL;

        if (!names_something(t, paths, NULL, 0)) {
                tell(told, strf("%s:%u: %s is described and does not exist: take it out", file, t->line, t->name));
                return 1;
        }
        for (size_t n; *at; at += n + (at[n] == '/')) {
                n = strcspn(at, "/");
                last = memchr(at, ',', n) ? at : last;
        }
        for (const char *end = last ? last + strcspn(last, "/") : NULL; last && last < end;) {
                size_t n = strcspn(last, ",/");

                if (!names_something(t, paths, last, n)) {
                        tell(told, strf("%s:%u: %s: there is none of \"%.*s\"", file, t->line, t->name, (int) n, last));
                        return 1;
                }
                last += n + 1;
        }
        return 0;
}

/* One description is for what is written the same way. */
static size_t check_same(const XmlText *t, const XmlPaths *paths, const char *file, void (*told)(const char *fault)) {
        _cleanup_free_ char *first = NULL;

        for (size_t i = 0; i < paths->n; i++) {
                _cleanup_free_ char *type = xml_text_is_for(t, paths->items[i].path) ? xml_type_text(&paths->items[i]) : NULL;

                if (first && type && !streq(first, type)) {
                        tell(told, strf("%s:%u: %s is \"%s\", others of %s are \"%s\": they need descriptions of their own", file, t->line,
                                        paths->items[i].path, type, t->name, first));
                        return 1;
                }
                if (!first)
                        first = TAKE_PTR(type);
        }
        return 0;
}

size_t xml_texts_check(const XmlTexts *texts, const XmlPaths *paths, const char *file, void (*told)(const char *fault)) {
        size_t n = 0;

        assert(texts && paths && told);

        for (size_t i = 0; i < paths->n; i++)
                n += check_path(texts, &paths->items[i], file, told);
        for (size_t i = 0; i < texts->n; i++) {
                const XmlText *t = &texts->items[i];

                if (t->kind != XML_TEXT_PATH)
                        continue;
                if (!t->text) {
                        tell(told, strf("%s:%u: %s has no text", file, t->line, t->name));
                        n++;
                }
                n += check_names(t, paths, file, told) + check_same(t, paths, file, told);
        }
        return n;
}
