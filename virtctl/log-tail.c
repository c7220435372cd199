/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-tail.h"

#include <string.h>
#include <systemd/sd-id128.h>

#include "ask.h"
#include "mem.h"
#include "show.h"
#include "str.h"
#include "values.h"

#define LOG1_ROOT "/org/virtbus/log1"
#define LOG1_MANAGER "org.virtbus.log1.Manager"
#define BYTES_OF_A_LINE UINT64_C(512)   /* longer ones may cost some of those before */
#define TIMEOUT_USEC UINT64_C(2000000)

/* The length of a sequence that moves the cursor or changes colours, or 0. */
static size_t escape_length(const char *s, size_t n) {
        size_t i = 2;

        if (n < 2 || s[0] != '\033')
                return 0;
        if (s[1] == ']') {
                while (i < n && s[i] != '\a' && s[i] != '\033')
                        i++;
                return MIN(i + (i < n && s[i] == '\033' ? 2 : 1), n);
        }
        if (s[1] != '[')
                return 2;
        while (i < n && (unsigned char) s[i] >= 0x20 && (unsigned char) s[i] < 0x40)
                i++;
        return MIN(i + 1, n);
}

/* A line without what is no text; NULL: out of memory. */
static json_t *clean(const char *s, size_t n) {
        _cleanup_text_ Text t = TEXT_INIT;
        _cleanup_free_ char *text = NULL;

        for (size_t i = 0; i < n;) {
                size_t escape = escape_length(s + i, n - i);

                /* U+0080 to U+009F are control characters of terminals, too. */
                bool c1 = (unsigned char) s[i] == 0xc2 && i + 1 < n && (unsigned char) s[i + 1] < 0xa0;

                if (escape > 0)
                        i += escape;
                else if (c1)
                        i += 2;
                else if (s[i] == '\t' || ((unsigned char) s[i] >= 0x20 && s[i] != 0x7f))
                        text_addn(&t, s[i] == '\t' ? " " : s + i, 1), i++;
                else
                        i++;
        }
        text = text_finish(&t);
        return text && is_utf8(text) ? json_string(text) : json_string("(not UTF-8)");
}

/* What is left of the last lines of a text, the first of which may have begun before it. */
static json_t *last_lines(const char *s, size_t n, size_t lines, bool from_begin) {
        json_t *list = json_array();
        const char *end = s + n, *p = s;

        if (!from_begin) {
                p = memchr(s, '\n', n);
                p = p ? p + 1 : end;
        }
        while (p < end) {
                const char *stop = memchr(p, '\n', (size_t) (end - p)) ?: end;

                if (stop > p + (stop[-1] == '\r'))
                        (void) json_array_append_new(list, clean(p, (size_t) (stop - p)));
                if (json_array_size(list) > lines)
                        (void) json_array_remove(list, 0);
                p = stop < end ? stop + 1 : end;
        }
        return list;
}

/* NULL: can't be had. */
static json_t *read_log(Client *c, sd_id128_t uuid, const json_t *row, size_t lines) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const char *path = json_string_value(json_array_get(row, 4)) ?: "";
        json_auto_t *state = ask_json(c, path, "org.freedesktop.DBus.Properties", "GetAll", "s", "org.virtbus.log1.Log");
        uint64_t first = show_number(state, "First"), end = show_number(state, "End"), wanted = lines * BYTES_OF_A_LINE;
        uint64_t from = end - first > wanted ? end - wanted : first;
        const void *data;
        size_t n;
        int r;

        if (!state)
                return NULL;
        r = sd_bus_message_new_method_call(c->bus, &m, "org.virtbus.log1", LOG1_ROOT, LOG1_MANAGER, "Read");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', &uuid, sizeof(uuid));
        if (r >= 0)
                r = sd_bus_message_append(m, "stt", json_string_value(json_array_get(row, 2)), from, end - from);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, TIMEOUT_USEC, NULL, &reply);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &data, &n);
        return r < 0 ? NULL : last_lines(data, n, lines, from == first);
}

json_t *log_tail(Client *c, const char *uuid, size_t lines) {
        json_t *all = json_object(), *row, *text;
        json_auto_t *rows = NULL;
        sd_id128_t id;
        size_t i;

        if (lines == 0 || sd_id128_from_string(uuid, &id) < 0)
                return all;
        rows = ask_json(c, LOG1_ROOT, LOG1_MANAGER, "ListLogs", NULL);
        json_array_foreach(rows, i, row)
                if (streq(json_string_value(json_array_get(row, 0)) ?: "", uuid) && (text = read_log(c, id, row, lines))) {
                        if (json_array_size(text) > 0)
                                (void) json_object_set(all, json_string_value(json_array_get(row, 2)) ?: "", text);
                        json_decref(text);
                }
        return all;
}
