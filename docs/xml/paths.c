/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "paths.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "str.h"

#define DEPTH_MAX 16u

void *must(void *p) {
        if (p)
                return p;
        fputs("out of memory\n", stderr);
        exit(EXIT_FAILURE);
}

/* --- the walk --- */

typedef struct Walk {
        XmlPaths *paths;
        const RecordType *above[DEPTH_MAX];
        size_t depth;
} Walk;

static void add_record(Walk *w, const char *prefix, const RecordType *type);

static void add_path(Walk *w, char *path, const Field *f, const RecordType *variant) {
        XmlPaths *p = w->paths;

        must(path);
        must(GROW(p->items, p->allocated, p->n + 1) ? p : NULL);
        p->items[p->n++] = (XmlPath) { path, f, variant };
}

static void add_below(Walk *w, const char *path, const RecordType *type) {
        _cleanup_free_ char *prefix = must(strf("%s/", path));

        add_record(w, prefix, type);
}

static void add_variants(Walk *w, const char *prefix, const Field *f) {
        size_t n = 0;
        const char *const *names = f->names(&n);

        for (size_t i = 0; i < n; i++) {
                char *path = must(strf("%s%.*s%s", prefix, (int) strlen(f->path) - 1, f->path, names[i]));

                add_path(w, path, f, f->variant(names[i]));
                add_below(w, path, f->variant(names[i]));
        }
}

static void add_field(Walk *w, const char *prefix, const Field *f) {
        char *path;

        if (f->type->shape == SHAPE_VARIANTS)
                return add_variants(w, prefix, f);
        path = must(strf("%s%s", prefix, f->path));
        add_path(w, path, f, NULL);
        /* What a daemon keeps there for itself nobody writes. */
        if ((f->type->shape == SHAPE_RECORD || f->type->shape == SHAPE_LIST) && !((f->flags & FIELD_LIVE) && str_after(f->path, "virtbus:")))
                add_below(w, path, f->record);
}

static void add_record(Walk *w, const char *prefix, const RecordType *type) {
        for (size_t i = 0; i < w->depth; i++)
                if (w->above[i] == type)
                        return;
        must(w->depth < DEPTH_MAX ? w : NULL);
        w->above[w->depth++] = type;
        for (size_t i = 0; i < type->n_fields; i++)
                add_field(w, prefix, &type->fields[i]);
        w->depth--;
}

void xml_paths_add(XmlPaths *paths, const char *prefix, const RecordType *type) {
        Walk w = { .paths = paths };

        assert(paths && prefix && type);

        add_record(&w, prefix, type);
}

/* --- types --- */

static char *words_text(const EnumTable *words) {
        Text t = TEXT_INIT;

        for (int i = 1; i < words->n; i++)
                text_addf(&t, "%s%s", i > 1 ? " | " : "", words->words[i]);
        return text_finish(&t);
}

/* The reader's own words for what it wants there. */
static char *wanted_text(const Field *f) {
        uint64_t value[8] = {};
        const char *wanted = NULL;
        bool number = f->type->is_set == field_number.is_set || f->max > 0 || f->min > 0;

        assert(f->type->size <= sizeof(value));

        if (f->type->from_text(f, "\x01", value, &wanted) >= 0 || !wanted)
                wanted = "text";
        /* Where the only limit is what the type holds, there is nothing to be said. */
        if (number && f->max > 0 && f->max < UINT32_MAX)
                return strf("%s, %" PRIu64 " to %" PRIu64, wanted, f->min, f->max);
        return f->min > 0 ? strf("%s from %" PRIu64 " on", wanted, f->min) : strdup(wanted);
}

static char *text_text(const Field *f) {
        return f->max_length > 0 ? strf("text of up to %u bytes", f->max_length) : strdup("text");
}

char *xml_type_text(const XmlPath *p) {
        const Field *f = p->field;

        switch (f->type->shape) {
        case SHAPE_FLAG:
                return must(strdup("element, there or not"));
        case SHAPE_SIZE:
                return must(strf("size in @unit, %s where that is missing", f->unit));
        case SHAPE_RECORD:
                return must(strdup("element"));
        case SHAPE_LIST:
                return must(strf("element, up to %" PRIu64 " times", f->max ?: RECORD_LIST_MAX));
        case SHAPE_VARIANTS:
                return must(strdup("element, any number of them"));
        case SHAPE_XML:
                return must(strdup("element with anything in it"));
        case SHAPE_SCALAR:
                break;
        }
        return must(f->type == &field_enum ? words_text(f->words) : f->type == &field_string ? text_text(f) : wanted_text(f));
}

/* --- groups --- */

void xml_groups_add(XmlGroups *g, const char *text, const char *name) {
        size_t i = 0;

        if (!text)
                return;
        while (i < g->n && !streq(g->items[i].text, text))
                i++;
        must(i < ARRAY_SIZE(g->items) ? g : NULL);
        if (i == g->n)
                g->items[g->n++] = (XmlGroup) { must(strdup(text)), must(strdup(name)), 1 };
        else {
                char *names = must(strf("%s, %s", g->items[i].names, name));

                free((char *) g->items[i].names);
                g->items[i].names = names;
                g->items[i].n++;
        }
}

/* The text of most comes last. */
static void put_last(XmlGroups *g) {
        size_t most = 0;
        XmlGroup last;

        for (size_t i = 0; i < g->n; i++)
                if (g->items[i].n >= g->items[most].n)
                        most = i;
        last = g->items[most];
        memmove(&g->items[most], &g->items[most + 1], (g->n - most - 1) * sizeof(last));
        g->items[g->n - 1] = last;
}

char *xml_groups_text(XmlGroups *g, bool everybody) {
        Text t = TEXT_INIT;

        if (g->n == 0)
                return NULL;
        put_last(g);
        for (size_t i = 0; i < g->n; i++) {
                const char *comma = i > 0 ? ", " : "";

                if (g->n > 1 && everybody && i == g->n - 1)
                        text_addf(&t, "%sotherwise %s", comma, g->items[i].text);
                else if (g->n > 1)
                        text_addf(&t, "%s%s (%s)", comma, g->items[i].text, g->items[i].names);
                else
                        text_add(&t, g->items[i].text);
                free((char *) g->items[i].text);
                free((char *) g->items[i].names);
        }
        g->n = 0;
        return must(text_finish(&t));
}
