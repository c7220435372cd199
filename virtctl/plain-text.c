/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plain-text.h"

#include <string.h>

#define ESCAPE 0x1b
#define BELL 0x07

/* One byte of text that is none of a sequence. */
static void take_plain(PlainText *p, unsigned char b, FILE *out) {
        if (b == ESCAPE)
                p->state = ESCAPED;
        else if (b == 0xc2)
                p->state = LATIN;         /* U+0080 to U+009F, of which some begin sequences, begin with it */
        else if (b == '\n' || b == '\t' || (b >= ' ' && b != 0x7f))
                putc(b, out);
}

static void take_escaped(PlainText *p, unsigned char b) {
        if (b == '[')
                p->state = CONTROL;
        else if (b && strchr("]PX^_", b))
                p->state = COMMAND;
        else if (b < ' ' || b > '/')
                p->state = PLAIN;
}

static void take_latin(PlainText *p, unsigned char b, FILE *out) {
        p->state = b == 0x9b ? CONTROL : PLAIN;
        if (b >= 0xa0 && b <= 0xbf) {
                putc(0xc2, out);
                putc(b, out);
        } else if (b < 0x80)
                take_plain(p, b, out);
}

void plain_text_write(PlainText *p, const char *data, size_t n, FILE *out) {
        for (size_t i = 0; i < n; i++) {
                unsigned char b = (unsigned char) data[i];

                switch (p->state) {
                case PLAIN: take_plain(p, b, out); break;
                case ESCAPED: take_escaped(p, b); break;
                case CONTROL: p->state = b >= '@' && b <= '~' ? PLAIN : CONTROL; break;
                case COMMAND: p->state = b == BELL || b == '\n' ? PLAIN : b == ESCAPE ? COMMAND_ESCAPED : COMMAND; break;
                case COMMAND_ESCAPED: p->state = PLAIN; break;
                case LATIN: take_latin(p, b, out); break;
                }
        }
}

/* Bytes of the character that begins there; 0: it is none. */
static size_t character_at(const unsigned char *s, size_t n) {
        char one[5] = "";
        size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

        if (length > n)
                return 0;
        memcpy(one, s, length);
        return s[0] == 0 || is_utf8(one) ? length : 0;
}

json_t *plain_text_to_json(PlainText *p) {
        _cleanup_text_ Text valid = TEXT_INIT;
        const unsigned char *s = (const unsigned char *) p->text.data;
        json_t *json;

        for (size_t i = 0, n; i < p->text.length; i += n ?: 1) {
                n = character_at(s + i, p->text.length - i);
                if (n > 0)
                        text_addn(&valid, (const char *) s + i, n);
                else
                        text_add(&valid, "\xef\xbf\xbd");
        }
        json = json_stringn(valid.data ?: "", valid.length);
        return json ?: json_null();
}
