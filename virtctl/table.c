/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <stdio.h>

#include "mem.h"
#include "str.h"
#include "terminal.h"

#define COLUMN_MIN 8     /* narrower than that nothing can be told apart */

typedef struct Column {
        size_t width;
        bool is_number;  /* stands on the right */
} Column;

/* "12", "1.5G", "40%"; not "10.0.0.1". */
static bool is_number(const char *s) {
        size_t n = strspn(s, "0123456789");

        if (n > 0 && s[n] == '.')
                n += 1 + strspn(s + n + 1, "0123456789");
        return n > 0 && (s[n] == '\0' || (strchr("BKMGTPE%", s[n]) && s[n + 1] == '\0'));
}

static void measure(const char *const *cells, size_t columns, size_t rows, Column *c) {
        for (size_t i = 0; i < columns; i++) {
                bool any = false, all = true;

                for (size_t k = 0; k < rows; k++) {
                        const char *cell = cells[k * columns + i];

                        c[i].width = MAX(c[i].width, text_width(cell));
                        if (k == 0 || streq(cell, "-"))
                                continue;
                        any = true;
                        all = all && is_number(cell);
                }
                c[i].is_number = any && all;
        }
}

static size_t widest(const Column *columns, size_t n) {
        size_t w = 0;

        for (size_t c = 1; c < n; c++)
                if (columns[c].width > columns[w].width)
                        w = c;
        return w;
}

static size_t width_of(const Column *columns, size_t n) {
        size_t sum = n > 0 ? n - 1 : 0;

        for (size_t c = 0; c < n; c++)
                sum += columns[c].width;
        return sum;
}

/* The least that n columns can be squeezed to. */
static size_t least_width_of(const Column *columns, size_t n) {
        size_t sum = n > 0 ? n - 1 : 0;

        for (size_t c = 0; c < n; c++)
                sum += MIN(columns[c].width, (size_t) COLUMN_MIN);
        return sum;
}

/* Returns how many columns there is room for. One column is cut at a time: tables are small, and none is left narrower than it must be. */
static size_t squeeze(Column *columns, size_t n, size_t room) {
        while (n > 1 && least_width_of(columns, n) > room)
                n--;
        while (width_of(columns, n) > room && columns[widest(columns, n)].width > 1)
                columns[widest(columns, n)].width--;
        return n;
}

static void fill_up(size_t n) {
        printf("%*s", (int) n, "");
}

static void print_cell(const char *cell, const Column *c, bool is_head, bool is_last) {
        const char *color = is_head ? terminal_bold() : terminal_state(cell);
        size_t width = text_width(cell), bytes = width > c->width ? text_fits(cell, c->width - 1) : strlen(cell);
        _cleanup_free_ char *part = strndup(cell, bytes);
        size_t shown = text_width(part ?: "") + (width > c->width);

        if (c->is_number)
                fill_up(c->width - MIN(shown, c->width));
        printf("%s%s%s%s", color, part ?: "", width > c->width ? "…" : "", *color ? terminal_plain() : "");
        if (!is_last)
                fill_up((c->is_number ? 0 : c->width - MIN(shown, c->width)) + 1);
}

void print_table(const char *const *cells, size_t columns, size_t rows) {
        _cleanup_free_ Column *c = new0(Column, columns);
        size_t shown = columns;

        if (!c)
                return;
        measure(cells, columns, rows, c);
        if (terminal_width() > 0)
                shown = squeeze(c, columns, terminal_width());
        for (size_t row = 0; row < rows; row++) {
                for (size_t i = 0; i < shown; i++)
                        print_cell(cells[row * columns + i], &c[i], row == 0, i + 1 == shown);
                putchar('\n');
        }
}
