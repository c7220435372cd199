/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page.h"

#include <stdio.h>
#include <stdlib.h>

#include "describe.h"
#include "mem.h"
#include "str.h"

static XmlPaths paths;
static XmlTexts texts;

/* --- reStructuredText --- */

/* As it stands, whatever it means in markup. */
static void put(const char *text) {
        for (; *text; text++) {
                if (strchr("\\*_|`[]", *text))
                        putchar('\\');
                putchar(*text);
        }
}

static void put_line(size_t length, char line) {
        while (length-- > 0)
                putchar(line);
        putchar('\n');
}

static void put_heading(const char *text) {
        printf("\n%s\n", text);
        put_line(strlen(text), '=');
        putchar('\n');
}

static void put_head(const XmlPage *page) {
        printf(".. SPDX-License-Identifier: LGPL-2.1-or-later\n\n");
        put_line(strlen(page->name), '=');
        printf("%s\n", page->name);
        put_line(strlen(page->name), '=');
        putchar('\n');
        put_line(strlen(page->title), '-');
        printf("%s\n", page->title);
        put_line(strlen(page->title), '-');
        printf("\n:Manual section: 5\n");
}

/* --- entries --- */

typedef struct Remarks {
        bool any;
} Remarks;

static void remark(Remarks *r, const char *key, char *text) {
        if (text) {
                fputs(r->any ? "; " : "[", stdout);
                if (key)
                        printf("%s: ", key);
                put(text);
                r->any = true;
        }
        free(text);
}

/* Of all paths that the text is for. */
static char *collect(const XmlText *t, char *(*ask)(const XmlPath *p), bool everybody) {
        XmlGroups g = {};

        for (size_t i = 0; ask && i < paths.n; i++) {
                _cleanup_free_ char *name = NULL, *answer = NULL;

                if (!xml_text_is_for(t, paths.items[i].path))
                        continue;
                name = xml_text_name_in(t, paths.items[i].path);
                answer = ask(&paths.items[i]);
                xml_groups_add(&g, answer, name);
        }
        return xml_groups_text(&g, everybody);
}

/* Those for which "*" stands, where it is not all of them. */
static char *owners(const XmlText *t, size_t n_all) {
        Text names = TEXT_INIT;
        size_t n = 0;

        if (!strchr(t->name, '*'))
                return NULL;
        for (size_t i = 0; i < paths.n; i++)
                if (xml_text_is_for(t, paths.items[i].path)) {
                        _cleanup_free_ char *name = xml_text_name_in(t, paths.items[i].path);

                        text_addf(&names, "%s%s", n++ > 0 ? ", " : "", name);
                }
        if (n >= n_all)
                text_clear(&names);
        return n < n_all ? must(text_finish(&names)) : NULL;
}

static size_t count_variants(void) {
        size_t n = 0;

        for (size_t i = 0; i < paths.n; i++)
                n += paths.items[i].variant != NULL;
        return n;
}

static void put_remarks(const XmlPage *page, const XmlText *t, const XmlPath *p) {
        static const struct { unsigned flag; const char *text; } flags[] = {
                { FIELD_REQUIRED, "required" }, { FIELD_SECRET, "secret" }, { FIELD_LIVE, "live" },
        };
        Remarks r = {};

        remark(&r, "of", owners(t, count_variants()));
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                if (!p->variant && (p->field->flags & flags[i].flag))
                        remark(&r, NULL, must(strdup(flags[i].text)));
        remark(&r, "default", collect(t, page->preset, false));
        remark(&r, NULL, collect(t, page->when, true));
        if (r.any)
                putchar(']');
}

static void put_entry(const XmlPage *page, const XmlText *t, const XmlPath *p, const char *name) {
        _cleanup_free_ char *type = xml_type_text(p);

        fputs("\n**", stdout);
        put(name);
        fputs("** = ", stdout);
        put(type);
        printf("\n    %s ", t->text ?: "");
        put_remarks(page, t, p);
        putchar('\n');
}

static const XmlPath *first_path(const XmlText *t) {
        for (size_t i = 0; i < paths.n; i++)
                if (xml_text_is_for(t, paths.items[i].path))
                        return &paths.items[i];
        return NULL;
}

static bool is_described(const XmlPath *p) {
        for (size_t i = 0; i < texts.n; i++)
                if (xml_text_is_for(&texts.items[i], p->path))
                        return true;
        return false;
}

/* The check complains about them; the page has them in any case. */
static void put_rest(const XmlPage *page) {
        bool any = false;

        for (size_t i = 0; i < paths.n; i++) {
                const XmlText t = { XML_TEXT_PATH, (char *) paths.items[i].path, (char *) "\\", 0 };

                if (is_described(&paths.items[i]))
                        continue;
                if (!any)
                        put_heading("MORE");
                any = true;
                put_entry(page, &t, &paths.items[i], t.name);
        }
}

static void put_refused(const XmlPage *page) {
        XmlRefusal r;

        for (size_t i = 0; page->refused && page->refused(i, &r); i++) {
                fputs("\n**", stdout);
                put(r.what);
                fputs("**\n    ", stdout);
                put(r.why);
                fputs(".", stdout);
                if (r.instead) {
                        fputs(" Instead: ", stdout);
                        put(r.instead);
                        fputs(".", stdout);
                }
                putchar('\n');
                free(r.what);
        }
}

static void put_section(const XmlPage *page, const XmlText *t) {
        if (streq(t->name, "SEE ALSO"))
                put_rest(page);
        put_heading(t->name);
        printf("%s\n", t->text ?: "");
        if (streq(t->name, XML_SECTION_REFUSED))
                put_refused(page);
}

static int write_page(const XmlPage *page) {
        put_head(page);
        for (size_t i = 0; i < texts.n; i++) {
                const XmlText *t = &texts.items[i];
                const XmlPath *p = first_path(t);

                if (t->kind == XML_TEXT_SECTION)
                        put_section(page, t);
                else if (p)
                        put_entry(page, t, p, t->name);
        }
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- the check --- */

static Text faults;

static void on_fault(const char *fault) {
        text_addf(&faults, "# %s\n", fault);
}

static bool check(const char *rule, size_t n, size_t number) {
        _cleanup_free_ char *told = text_finish(&faults);

        faults = TEXT_INIT;
        printf("%s %zu - %s\n%s", n == 0 ? "ok" : "not ok", number, rule, told ?: "");
        return n == 0;
}

/* Sections that stand for what the program adds. */
static size_t check_section(const char *name, const char *file) {
        for (size_t i = 0; i < texts.n; i++)
                if (texts.items[i].kind == XML_TEXT_SECTION && streq(texts.items[i].name, name))
                        return 0;
        text_addf(&faults, "# %s: there is no section \"%s\"\n", file, name);
        return 1;
}

static int check_page(const XmlPage *page, const char *file) {
        size_t n = xml_texts_check(&texts, &paths, file, on_fault) + check_section("SEE ALSO", file);
        bool good;

        if (page->refused)
                n += check_section(XML_SECTION_REFUSED, file);
        good = check("every path has one description, every description is of one", n, 1);

        if (page->check)
                good = check("everything has an example to ask", page->check(on_fault), 2) && good;
        printf("1..%d\n", page->check ? 2 : 1);
        return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int write_paths(void) {
        for (size_t i = 0; i < paths.n; i++) {
                _cleanup_free_ char *type = xml_type_text(&paths.items[i]);

                printf("%s\t%s\n", paths.items[i].path, type);
        }
        return EXIT_SUCCESS;
}

int xml_page_main(const XmlPage *page, int argc, char **argv) {
        bool checks = argc == 3 && streq(argv[1], "--check");

        assert(page && argv);

        for (size_t i = 0; i < ARRAY_SIZE(page->roots) && page->roots[i].type; i++)
                xml_paths_add(&paths, page->roots[i].prefix, page->roots[i].type);
        if (argc == 2 && streq(argv[1], "--paths"))
                return write_paths();
        if (!checks && argc != 2) {
                fputs("usage: [--check] TEXTS | --paths\n", stderr);
                return EXIT_FAILURE;
        }
        xml_texts_read(&texts, argv[argc - 1]);
        return checks ? check_page(page, argv[2]) : write_page(page);
}
