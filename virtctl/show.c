/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "str.h"
#include "terminal.h"

#define LABEL_WIDTH 14   /* with what follows it */
#define ROOM_MIN 16      /* with less of it, lines are left to the terminal */

void format_size(uint64_t bytes, char *buffer, size_t size) {
        static const char units[] = "BKMGTPE";
        unsigned u = 0;
        uint64_t whole = bytes, rest = 0;

        while (whole >= 1024 && u + 2 < sizeof(units)) {
                rest = whole % 1024;
                whole /= 1024;
                u++;
        }
        if (rest * 10 / 1024 > 0 && whole < 100)
                (void) snprintf(buffer, size, "%llu.%llu%c", (unsigned long long) whole, (unsigned long long) (rest * 10 / 1024), units[u]);
        else
                (void) snprintf(buffer, size, "%llu%c", (unsigned long long) whole, units[u]);
}

void format_age(uint64_t usec, char *buffer, size_t size) {
        static const struct {
                const char *name;
                uint64_t seconds;
        } units[] = { { "d", 86400 }, { "h", 3600 }, { "min", 60 }, { "s", 1 } };
        uint64_t left = usec / 1000000;
        size_t n = 0, parts = 0;

        buffer[0] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(units) && parts < 2 && n < size; i++) {
                uint64_t count = left / units[i].seconds;

                left %= units[i].seconds;
                if (count == 0 && !(i + 1 == ARRAY_SIZE(units) && parts == 0))
                        continue;
                n += (size_t) snprintf(buffer + n, size - n, "%s%llu%s", parts ? " " : "", (unsigned long long) count, units[i].name);
                parts++;
        }
}

void format_since(uint64_t usec, uint64_t now, char *buffer, size_t size) {
        time_t seconds = (time_t) (usec / 1000000);
        char date[64] = "", age[64];
        struct tm t;

        if (localtime_r(&seconds, &t))
                (void) strftime(date, sizeof(date), "%a %F %T %Z", &t);
        format_age(now > usec ? now - usec : 0, age, sizeof(age));
        (void) snprintf(buffer, size, "%s; %s ago", date, age);
}

int print_json(const Client *c, json_t *json) {
        int r;

        if (!json)
                return client_fail("out of memory");
        r = json_dumpf(json, stdout, JSON_ENCODE_ANY | (c->json == JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT));
        putchar('\n');
        json_decref(json);
        return r < 0 ? client_fail("standard output can't be written to") : 0;
}

const char *show_text(const json_t *o, const char *key) {
        return json_string_value(json_object_get(o, key)) ?: "";
}

uint64_t show_number(const json_t *o, const char *key) {
        return (uint64_t) json_integer_value(json_object_get(o, key));
}

/* Of a line that has too little room; at a blank, if there is one that leaves the line not too short. */
static size_t bytes_of_line(const char *s, size_t room) {
        size_t n = text_fits(s, room), end = n;

        while (end > n / 2 && s[end] != ' ')
                end--;
        return s[n] && s[end] == ' ' ? end : n;
}

void print_from(size_t column, const char *text) {
        size_t width = terminal_width(), room = width >= column + ROOM_MIN ? width - column : SIZE_MAX;

        while (room < SIZE_MAX && text_width(text) > room) {
                size_t n = bytes_of_line(text, room);

                printf("%.*s\n%*s", (int) n, text, (int) column, "");
                text += n + (text[n] == ' ');
        }
        puts(text);
}

void print_line(const char *label, const char *fmt, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        va_end(ap);
        printf("%*s%s ", LABEL_WIDTH - 2, label, *label ? ":" : " ");
        print_from(LABEL_WIDTH, text ?: "");
}
