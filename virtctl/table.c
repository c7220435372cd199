/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <stdio.h>

#include "mem.h"
#include "str.h"
#include "terminal.h"

#define COLUMN_MIN 8     /* narrower than that nothing can be told apart */

static void measure(const char *const *cells, size_t columns, size_t rows, size_t *widths) {
        for (size_t i = 0; i < rows * columns; i++)
                widths[i % columns] = MAX(widths[i % columns], text_width(cells[i]));
}

static size_t widest(const size_t *widths, size_t columns) {
        size_t w = 0;

        for (size_t c = 1; c < columns; c++)
                if (widths[c] > widths[w])
                        w = c;
        return w;
}

/* One column at a time: tables are small, and none is left narrower than it must be. */
static void squeeze(size_t *widths, size_t columns, size_t room) {
        size_t sum = columns - 1;

        for (size_t c = 0; c < columns; c++)
                sum += widths[c];
        for (; sum > room; sum--) {
                size_t c = widest(widths, columns);

                if (widths[c] <= COLUMN_MIN)
                        return;
                widths[c]--;
        }
}

static void print_cell(const char *cell, size_t width, bool is_head, bool is_last) {
        const char *color = is_head ? terminal_bold() : terminal_state(cell);
        size_t w = text_width(cell), shown = w;

        fputs(color, stdout);
        if (w <= width)
                fputs(cell, stdout);
        else {
                size_t bytes = text_fits(cell, width - 1);
                _cleanup_free_ char *part = strndup(cell, bytes);

                shown = text_width(part ?: "") + 1;
                printf("%s…", part ?: "");
        }
        fputs(*color ? terminal_plain() : "", stdout);
        if (!is_last)
                printf("%*s", (int) (width - MIN(shown, width) + 1), "");
}

void print_table(const char *const *cells, size_t columns, size_t rows) {
        size_t *widths = new0(size_t, columns);

        if (!widths)
                return;
        measure(cells, columns, rows, widths);
        if (terminal_width() > 0)
                squeeze(widths, columns, terminal_width());
        for (size_t i = 0; i < rows * columns; i++) {
                bool is_last = i % columns + 1 == columns;

                print_cell(cells[i], widths[i % columns], i < columns, is_last);
                if (is_last)
                        putchar('\n');
        }
        free(widths);
}
