/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "call-values.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "str.h"

#define DEPTH_MAX 12u
#define STRING_MAX 70000u

static const char *const common_words[] = {
        "", "libvirt-xml", "json", "validate-only", "if-generation", "create-only", "timeout", "mode", "flags", "name", "path", "type", "all",
        "../../etc/passwd", "/dev/null", "/nonexistent/x", "a/b", ".", "..", "%s%n%x", "$(reboot)", "`reboot`;", "-rf", "two\nlines", "\033[2J\a",
        "\xc3\xa4\xf0\x9f\x92\xa9\xe2\x80\xae", "00000000-0000-0000-0000-000000000000", "18446744073709551616", "-1", "1e999", "0x41", "{}",
        "{\"execute\":\"quit\"}", "<a/>", NULL
};

uint8_t bytes_take(Bytes *b) {
        if (b->size == 0)
                return 0;
        b->size--;
        return *b->data++;
}

uint16_t bytes_take16(Bytes *b) {
        uint8_t high = bytes_take(b);

        return (uint16_t) (high << 8 | bytes_take(b));
}

static uint64_t take_number(Bytes *b) {
        static const uint64_t known[] = { 0, 1, 2, 4, 8, 16, 32, 64, UINT64_MAX, INT64_MAX, INT32_MAX, UINT32_MAX, UINT64_C(1) << 63, UINT64_C(1) << 31,
                                          UINT64_C(1) << 20, 1000000 };
        uint8_t kind = bytes_take(b);
        uint64_t n = 0;

        if (kind < 128)
                return known[kind % ARRAY_SIZE(known)];
        for (unsigned i = 0; i < (kind < 192 ? 1 : 8); i++)
                n = n << 8 | bytes_take(b);
        return n;
}

static const char *take_word(Bytes *b) {
        size_t common = ARRAY_SIZE(common_words) - 1, own = 0, i;

        while (b->words && b->words[own])
                own++;
        i = bytes_take(b) % (common + own);
        return i < own ? b->words[i] : common_words[i - own];
}

/* No byte that D-Bus doesn't take. */
static void make_text(char *text, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (text[i] == '\0')
                        text[i] = '?';
        text[n] = '\0';
        if (!is_utf8(text))
                for (size_t i = 0; i < n; i++)
                        text[i] = (char) (text[i] & 0x7f) ?: '?';
}

static char *take_string(Bytes *b) {
        uint8_t kind = bytes_take(b);
        size_t n;
        char *s;

        if (kind < 160)
                return strdup(take_word(b));
        n = kind < 208 ? bytes_take(b) : kind < 250 ? bytes_take16(b) : STRING_MAX;
        if (kind < 250)
                n = MIN(n, b->size);
        s = malloc(n + 1);
        if (!s)
                return NULL;
        if (kind < 250) {
                memcpy(s, b->data, n);
                b->data += n;
                b->size -= n;
        } else
                memset(s, bytes_take(b), n);
        make_text(s, n);
        return s;
}

static int append_string(sd_bus_message *m, char type, Bytes *b) {
        _cleanup_free_ char *s = take_string(b);
        size_t n = 0;

        if (!s)
                return -ENOMEM;
        if (type == 's')
                return sd_bus_message_append_basic(m, 's', s);
        if (type == 'g')
                return sd_bus_message_append_basic(m, 'g', "a{sv}");
        while (b->paths && b->paths[n])
                n++;
        if (sd_bus_object_path_is_valid(s) <= 0)
                return sd_bus_message_append_basic(m, 'o', n > 0 ? b->paths[bytes_take(b) % n] : "/");
        return sd_bus_message_append_basic(m, 'o', s);
}

static int append_fd(sd_bus_message *m, Bytes *b) {
        int fd = -1, other = -1, both[2], r;

        switch (bytes_take(b) % 4) {
        case 0:
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                break;
        case 1:
                fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                break;
        case 2:
                if (pipe2(both, O_CLOEXEC) == 0) {
                        fd = both[bytes_take(b) & 1];
                        other = fd == both[0] ? both[1] : both[0];
                }
                break;
        default:
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0) {
                        fd = both[0];
                        other = both[1];
                }
        }
        r = fd < 0 ? -errno : sd_bus_message_append_basic(m, 'h', &fd);
        if (fd >= 0)
                close(fd);
        if (other >= 0)
                close(other);
        return r;
}

/* The length of the first complete type. */
static size_t type_length(const char *s) {
        size_t depth = 0, n = 0;

        if (*s == 'a')
                return 1 + type_length(s + 1);
        do {
                depth += s[n] == '(' || s[n] == '{';
                depth -= s[n] == ')' || s[n] == '}';
                n++;
        } while (depth > 0);
        return n;
}

static int append_one(sd_bus_message *m, const char *type, size_t n, Bytes *b, unsigned depth);

static int append_all(sd_bus_message *m, const char *types, size_t n, Bytes *b, unsigned depth) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0;) {
                size_t k = type_length(types + i);

                r = append_one(m, types + i, k, b, depth);
                i += k;
        }
        return r;
}

static int append_array(sd_bus_message *m, const char *item, size_t n, Bytes *b, unsigned depth) {
        _cleanup_free_ char *type = strndup(item, n);
        uint8_t kind = bytes_take(b);
        unsigned count = kind < 240 ? kind % 6 : 400;
        int r;

        r = type ? sd_bus_message_open_container(m, 'a', type) : -ENOMEM;
        for (unsigned i = 0; i < count && r >= 0; i++)
                r = append_one(m, item, n, b, depth);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* What options are, first of all. */
static int append_variant(sd_bus_message *m, Bytes *b, unsigned depth) {
        static const char *const types[] = { "s", "b", "t", "u", "s", "i", "x", "as", "h", "d", "y", "o", "g", "ay", "a{sv}", "v", "(sv)", "av" };
        const char *type = types[depth > DEPTH_MAX ? 0 : bytes_take(b) % ARRAY_SIZE(types)];
        int r;

        r = sd_bus_message_open_container(m, 'v', type);
        if (r >= 0)
                r = append_one(m, type, strlen(type), b, depth);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_struct(sd_bus_message *m, const char *type, size_t n, Bytes *b, unsigned depth) {
        _cleanup_free_ char *contents = strndup(type + 1, n - 2);
        int r;

        r = contents ? sd_bus_message_open_container(m, *type == '{' ? 'e' : 'r', contents) : -ENOMEM;
        if (r >= 0)
                r = append_all(m, contents, n - 2, b, depth);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_one(sd_bus_message *m, const char *type, size_t n, Bytes *b, unsigned depth) {
        uint64_t number;
        double real;

        switch (*type) {
        case 'a':
                return append_array(m, type + 1, n - 1, b, depth + 1);
        case '(':
        case '{':
                return append_struct(m, type, n, b, depth + 1);
        case 'v':
                return append_variant(m, b, depth + 1);
        case 's':
        case 'o':
        case 'g':
                return append_string(m, *type, b);
        case 'h':
                return append_fd(m, b);
        case 'd':
                real = (double) take_number(b) * 1e-3;
                return sd_bus_message_append_basic(m, 'd', &real);
        case 'b':
                return sd_bus_message_append_basic(m, 'b', &(int) { bytes_take(b) & 1 });
        default: /* little endian: the low bytes are those of the smaller types */
                number = take_number(b);
                return sd_bus_message_append_basic(m, *type, &number);
        }
}

int values_append(sd_bus_message *m, const char *signature, Bytes *b) {
        return append_all(m, signature, strlen(signature), b, 0);
}
