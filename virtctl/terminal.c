/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "str.h"

typedef struct Terminal {
        bool looked, is_one, colors;
        size_t width, height;
} Terminal;

static size_t from_environment(const char *name, size_t otherwise) {
        const char *text = getenv(name);
        uint64_t n;

        return text && parse_u64(text, 10, &n) >= 0 && n > 0 && n < 10000 ? (size_t) n : otherwise;
}

static Terminal t;

static const Terminal *terminal(void) {
        const char *no = getenv("NO_COLOR"), *kind = getenv("TERM");
        struct winsize size = {};

        if (t.looked)
                return &t;
        t.looked = true;
        t.is_one = isatty(STDOUT_FILENO);
        if (!t.is_one)
                return &t;
        t.colors = (!no || !*no) && kind && !streq(kind, "dumb");
        (void) ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        t.width = from_environment("COLUMNS", size.ws_col > 0 ? size.ws_col : 80);
        t.height = from_environment("LINES", size.ws_row > 0 ? size.ws_row : 24);
        return &t;
}

size_t terminal_width(void) {
        return terminal()->width;
}

size_t terminal_height(void) {
        return terminal()->height;
}

bool terminal_is_screen(void) {
        const char *kind = getenv("TERM");

        return terminal()->is_one && kind && !streq(kind, "dumb");
}

void terminal_look_again(void) {
        t.looked = false;
}

static bool terminal_colors(void) {
        return terminal()->colors;
}

const char *terminal_bold(void) {
        return terminal_colors() ? "\033[1m" : "";
}

const char *terminal_plain(void) {
        return terminal_colors() ? "\033[0m" : "";
}

const char *terminal_state(const char *state) {
        static const struct {
                const char *state, *color;
        } states[] = {
                { "running", "\033[32m" }, { "active", "\033[32m" }, { "ok", "\033[32m" }, { "crashed", "\033[31m" }, { "broken", "\033[31m" },
                { "failed", "\033[31m" }, { "missing", "\033[31m" }, { "paused", "\033[33m" }, { "starting", "\033[33m" }, { "stopping", "\033[33m" },
                { "shutting-down", "\033[33m" }, { "warning", "\033[33m" }, { "pmsuspended", "\033[33m" }, { "shutdown", "\033[33m" },
                { "refused", "\033[31m" }, { "differs", "\033[33m" },
        };

        for (size_t i = 0; terminal_colors() && i < ARRAY_SIZE(states); i++)
                if (streq(states[i].state, state))
                        return states[i].color;
        return "";
}

/* --- text on it --- */

/* A character that is none counts as one column, so that nothing gets lost. */
static size_t next_character(const char *s, mbstate_t *state, size_t *ret_columns) {
        wchar_t w;
        size_t n;
        int columns;

        /* A colour of ours. */
        if (s[0] == '\033' && s[1] == '[' && s[2 + strspn(s + 2, "0123456789;")] == 'm') {
                *ret_columns = 0;
                return strcspn(s, "m") + 1;
        }
        n = mbrtowc(&w, s, strlen(s), state);
        if (n == (size_t) -1 || n == (size_t) -2 || n == 0) {
                *state = (mbstate_t) {};
                *ret_columns = 1;
                return 1;
        }
        columns = wcwidth(w);
        *ret_columns = columns < 0 ? 1 : (size_t) columns;
        return n;
}

size_t text_fits(const char *s, size_t columns) {
        mbstate_t state = {};
        size_t used = 0, bytes = 0;

        while (s[bytes]) {
                size_t w, n = next_character(s + bytes, &state, &w);

                if (used + w > columns)
                        break;
                used += w;
                bytes += n;
        }
        return bytes;
}

size_t text_width(const char *s) {
        mbstate_t state = {};
        size_t used = 0, w;

        for (; *s; used += w)
                s += next_character(s, &state, &w);
        return used;
}
