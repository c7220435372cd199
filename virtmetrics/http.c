/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http.h"

#include <string.h>
#include <strings.h>

#include "str.h"

/* A piece of the request; it does not end in NUL. */
typedef struct Span {
        const char *data;
        size_t length;
} Span;

static bool span_is(Span s, const char *word) {
        return s.length == strlen(word) && memcmp(s.data, word, s.length) == 0;
}

/* What comes before the separator, which is taken away too; all of it if there is none. */
static Span span_cut(Span *rest, const char *separator) {
        size_t n = strlen(separator);
        const char *end = rest->length > 0 ? memmem(rest->data, rest->length, separator, n) : NULL;
        Span first = { rest->data, end ? (size_t) (end - rest->data) : rest->length };

        n = first.length + (end ? n : 0);
        rest->data += n;
        rest->length -= n;
        return first;
}

static bool is_token(Span s) {
        static const char marks[] = "!#$%&'*+-.^_`|~";

        for (size_t i = 0; i < s.length; i++) {
                char c = s.data[i];

                if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && (!c || !strchr(marks, c)))
                        return false;
        }
        return s.length > 0;
}

static bool is_text(Span s) {
        for (size_t i = 0; i < s.length; i++)
                if (((unsigned char) s.data[i] < ' ' && s.data[i] != '\t') || s.data[i] == 127)
                        return false;
        return true;
}

static Span trim(Span s) {
        while (s.length > 0 && (*s.data == ' ' || *s.data == '\t')) {
                s.data++;
                s.length--;
        }
        while (s.length > 0 && (s.data[s.length - 1] == ' ' || s.data[s.length - 1] == '\t'))
                s.length--;
        return s;
}

/* "GET /metrics HTTP/1.1" */
static int parse_first_line(Span line, HttpRequest *ret) {
        Span method = span_cut(&line, " "), target = span_cut(&line, " "), path = span_cut(&target, "?");

        if (!is_token(method) || path.length == 0 || !is_text(path) || !is_text(target))
                return 400;
        if (!span_is(line, "HTTP/1.1") && !span_is(line, "HTTP/1.0"))
                return line.length > 5 && memcmp(line.data, "HTTP/", 5) == 0 && is_text(line) ? 505 : 400;
        ret->head = span_is(method, "HEAD");
        if (!ret->head && !span_is(method, "GET"))
                return 405;
        return span_is(path, "/metrics") ? 200 : 404;
}

static bool name_is(Span name, const char *word) {
        return name.length == strlen(word) && strncasecmp(name.data, word, name.length) == 0;
}

/* "Accept: …". A request with a body is none of ours. */
static int parse_field(Span line, HttpRequest *ret) {
        static const char wanted[] = "application/openmetrics-text";
        const char *colon = memchr(line.data, ':', line.length);
        Span name = span_cut(&line, ":"), value = trim(line);

        if (!colon || !is_token(name) || !is_text(value))
                return 400;
        if (name_is(name, "Transfer-Encoding") || (name_is(name, "Content-Length") && !span_is(value, "0")))
                return 400;
        if (name_is(name, "Accept") && value.length > 0 && memmem(value.data, value.length, wanted, strlen(wanted)))
                ret->openmetrics = true;
        return 0;
}

int http_parse(const char *data, size_t length, HttpRequest *ret) {
        const char *end = length > 0 ? memmem(data, MIN(length, (size_t) HTTP_HEAD_MAX), "\r\n\r\n", 4) : NULL;
        Span rest = { data, end ? (size_t) (end - data) : 0 };
        HttpRequest request = {};
        unsigned lines = 0;
        int status;

        assert(ret);

        if (!end)
                return length >= HTTP_HEAD_MAX ? 431 : 0;
        status = parse_first_line(span_cut(&rest, "\r\n"), &request);
        while (rest.length > 0) {
                int r = ++lines > HTTP_LINES_MAX ? 431 : parse_field(span_cut(&rest, "\r\n"), &request);

                if (r != 0)
                        return r;
        }
        *ret = request;
        return status;
}

const char *http_reason(int status) {
        static const struct {
                int status;
                const char *reason;
        } rows[] = {
                { 200, "OK" }, { 400, "Bad Request" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
                { 431, "Request Header Fields Too Large" }, { 503, "Service Unavailable" }, { 505, "HTTP Version Not Supported" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].status == status)
                        return rows[i].reason;
        return "Internal Server Error";
}

char *http_answer(int status, const char *type, size_t length) {
        return strf("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
                    "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                    status, http_reason(status), type, length, status == 405 ? "Allow: GET, HEAD\r\n" : "");
}
