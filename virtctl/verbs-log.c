/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "pager.h"
#include "plain-text.h"
#include "show.h"
#include "str.h"
#include "terminal.h"
#include "values.h"
#include "verbs.h"

/* What guests print on their consoles, and QEMU's own messages, from virtlogd. */

#define LOG1_ROOT "/org/virtbus/log1"
#define LOG1_MANAGER "org.virtbus.log1.Manager"
#define LOG1_LOG "org.virtbus.log1.Log"
#define STEP UINT64_C(65536)
#define READ_MAX UINT64_C(1048576)        /* virtlogd gives no more at a time */
#define LINES_BEFORE_FOLLOW 10

typedef struct Source {
        sd_id128_t uuid;
        const char *name;
        uint64_t begin, end;         /* what of its stream is shown of what is there already */
        int stream;
        PlainText filter;
} Source;

typedef struct Log {
        Client *client;
        const char *vm;
        json_t *rows;                /* ListLogs() of that VM */
        Source *sources;
        size_t n;
        const Source *last;          /* who printed last */
} Log;

/* --- which there are --- */

/* Without virtlogd the same goes to files and, in a unit, to the journal. */
static int tell_missing(Client *c, const char *vm) {
        (void) client_fail("virtlogd, which keeps what guests print, is not there");
        fprintf(stderr, "  What QEMU says is in the journal: journalctl %s-u virtqemu@%s.service\n", c->user ? "--user " : "", vm);
        return UNREACHABLE;
}

static int list_logs(Client *c, const char *vm, json_t **ret) {
        static const char *const missing[] = { SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                               "org.freedesktop.DBus.Error.Spawn.ServiceNotFound" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = client_new_call(c, &m, LOG1_ROOT, LOG1_MANAGER, "ListLogs");

        if (r != 0)
                return r;
        r = client_try(c, TAKE_PTR(m), &error, &reply);
        for (size_t i = 0; r < 0 && i < ARRAY_SIZE(missing); i++)
                if (sd_bus_error_has_name(&error, missing[i]))
                        return tell_missing(c, vm);
        if (r < 0)
                return client_tell(c, &error, service_of(LOG1_ROOT), r);
        *ret = value_to_json(reply);
        return 0;
}

/* The UUID of a VM that is there; null: there is none, but its logs may be. */
static sd_id128_t find_uuid(Client *c, const char *vm) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_id128_t uuid = SD_ID128_NULL;
        const char *path;

        if (sd_id128_from_string(vm, &uuid) < 0 && client_new_call(c, &m, QEMU1_ROOT, MANAGER_INTERFACE, "GetDomain") == 0 &&
            sd_bus_message_append(m, "s", vm) >= 0 && client_try(c, TAKE_PTR(m), &error, &reply) >= 0 && sd_bus_message_read(reply, "o", &path) >= 0 &&
            strrchr(path, '/'))
                (void) sd_id128_from_string(strrchr(path, '/') + 1, &uuid);
        return uuid;
}

static int tell_none(const Log *l, const char *wanted) {
        const json_t *row;
        size_t i;

        if (json_array_size(l->rows) == 0)
                (void) client_fail("there is no log of %s: it has not run since virtlogd keeps them, or there is no such VM", l->vm);
        else {
                (void) client_fail("%s has no log \"%s\"", l->vm, wanted);
                fprintf(stderr, "  There are:");
                json_array_foreach(l->rows, i, row)
                        fprintf(stderr, " %s", json_string_value(json_array_get(row, 2)) ?: "");
                fputc('\n', stderr);
        }
        return NO_SUCH;
}

/* QEMU's own first, so that consoles are what is read last. */
static int by_name(const void *a, const void *b) {
        const char *x = ((const Source *) a)->name, *y = ((const Source *) b)->name;

        return streq(x, "qemu") ? -1 : streq(y, "qemu") ? 1 : strcmp(x, y);
}

static bool is_wanted(const json_t *row, sd_id128_t uuid, const char *vm) {
        sd_id128_t its;

        if (sd_id128_is_null(uuid))
                return streq(json_string_value(json_array_get(row, 1)) ?: "", vm);
        return sd_id128_from_string(json_string_value(json_array_get(row, 0)) ?: "", &its) >= 0 && sd_id128_equal(its, uuid);
}

static int find_sources(Log *l, const char *wanted) {
        json_auto_t *all = NULL;
        sd_id128_t uuid;
        const json_t *row;
        size_t i;
        int r = list_logs(l->client, l->vm, &all);

        if (r != 0)
                return r;
        uuid = find_uuid(l->client, l->vm);
        l->sources = new0(Source, json_array_size(all));
        l->rows = json_array();
        if (!l->sources || !l->rows)
                return client_fail("out of memory");
        json_array_foreach(all, i, row) {
                const char *name = json_string_value(json_array_get(row, 2)) ?: "";

                if (!is_wanted(row, uuid, l->vm))
                        continue;
                (void) json_array_append(l->rows, (json_t *) row);
                if (!wanted || streq(name, wanted)) {
                        l->sources[l->n] = (Source) { .name = name, .stream = -1 };
                        (void) sd_id128_from_string(json_string_value(json_array_get(row, 0)) ?: "", &l->sources[l->n++].uuid);
                }
        }
        qsort(l->sources, l->n, sizeof(*l->sources), by_name);
        return l->n > 0 ? 0 : tell_none(l, wanted);
}

/* --- bytes of one --- */

static int new_call(Log *l, const Source *s, const char *method, sd_bus_message **ret) {
        int r = client_new_call(l->client, ret, LOG1_ROOT, LOG1_MANAGER, method);

        if (r != 0)
                return r;
        return sd_bus_message_append_array(*ret, 'y', &s->uuid, sizeof(s->uuid)) < 0 || sd_bus_message_append(*ret, "s", s->name) < 0
                ? client_fail("out of memory") : 0;
}

/* At most `max` from a place on. *ret points into the reply. *at becomes where they begin: what was rotated away is skipped. */
static int read_part(Log *l, const Source *s, uint64_t *at, uint64_t max, sd_bus_message **ret_reply, const char **ret, size_t *ret_n) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const void *data;
        uint64_t next;
        int r = new_call(l, s, "Read", &m);

        if (r == 0 && sd_bus_message_append(m, "tt", *at, max) < 0)
                r = client_fail("out of memory");
        r = r ?: client_send(l->client, TAKE_PTR(m), ret_reply);
        if (r != 0)
                return r;
        r = sd_bus_message_read_array(*ret_reply, 'y', &data, ret_n);
        if (r >= 0)
                r = sd_bus_message_read(*ret_reply, "t", &next);
        if (r < 0)
                return client_garbled(r);
        *at = next - *ret_n;
        *ret = data;
        return 0;
}

/* Where the last lines begin, found backwards. */
static int find_lines(Log *l, Source *s, uint64_t lines) {
        uint64_t first = s->begin, before = s->end;

        while (before > first) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                uint64_t at = before - MIN(STEP, before - first), from = at;
                const char *data;
                size_t n;
                int r = read_part(l, s, &at, before - at, &reply, &data, &n);

                if (r != 0)
                        return r;
                for (size_t i = n; i > 0; i--)
                        if (data[i - 1] == '\n' && at + i < s->end && lines-- == 1) {
                                s->begin = at + i;
                                return 0;
                        }
                if (at > from)
                        break;        /* rotated away meanwhile */
                before = from;
        }
        return 0;
}

static int find_range(Log *l, Source *s, uint64_t lines) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *all = NULL;
        const char *path = NULL;
        json_t *row;
        size_t i;
        int r;

        json_array_foreach(l->rows, i, row)
                if (streq(json_string_value(json_array_get(row, 2)) ?: "", s->name))
                        path = json_string_value(json_array_get(row, 4));
        r = client_call(l->client, path, "org.freedesktop.DBus.Properties", "GetAll", &reply, "s", LOG1_LOG);
        if (r != 0)
                return r;
        all = value_to_json(reply);
        s->begin = show_number(all, "First");
        s->end = show_number(all, "End");
        if (lines == 0)
                s->begin = s->end;
        return lines == 0 || lines == UINT64_MAX ? 0 : find_lines(l, s, lines);
}

/* --- to be read --- */

static void print_part(Log *l, Source *s, const char *data, size_t n) {
        if (n > 0 && l->last != s && l->n > 1) {
                printf("%s%s==> %s <==%s\n", l->last ? "\n" : "", terminal_bold(), s->name, terminal_plain());
                l->last = s;
        }
        /* Nothing that a guest prints does something to a terminal; files get it as it is. */
        if (terminal_width() > 0)
                plain_text_write(&s->filter, data, n, stdout);
        else
                (void) fwrite(data, 1, n, stdout);
}

typedef void (*Take)(Log *l, Source *s, const char *data, size_t n);

static int read_all(Log *l, Source *s, Take take) {
        uint64_t at = s->begin;

        while (at < s->end) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                const char *data;
                size_t n;
                int r = read_part(l, s, &at, MIN(READ_MAX, s->end - at), &reply, &data, &n);

                if (r != 0)
                        return r;
                if (n == 0)
                        break;
                take(l, s, data, n);
                at += n;
        }
        return 0;
}

static int print_all(Log *l) {
        int r = 0;

        pager_open(l->client);
        for (size_t i = 0; r == 0 && i < l->n; i++)
                r = read_all(l, &l->sources[i], print_part);
        return r;
}

/* --- as JSON --- */

static void collect(Log *l, Source *s, const char *data, size_t n) {
        text_addn(&s->filter.text, data, n);
}

static int print_as_json(Log *l) {
        json_t *list = json_array();
        int r = 0;

        for (size_t i = 0; r == 0 && i < l->n; i++) {
                Source *s = &l->sources[i];

                r = read_all(l, s, collect);
                if (r == 0)
                        (void) json_array_append_new(list, json_pack("{s:s, s:o}", "source", s->name, "text", plain_text_to_json(&s->filter)));
        }
        if (r == 0)
                return print_json(l->client, list);
        json_decref(list);
        return r;
}

/* --- as it comes --- */

static int open_stream(Log *l, Source *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int fd, r = new_call(l, s, "Follow", &m);

        if (r == 0 && sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 1, "tail", "t", s->end - s->begin) < 0)
                r = client_fail("out of memory");
        r = r ?: client_send(l->client, TAKE_PTR(m), &reply);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0)
                r = s->stream = fd_copy(fd);
        return r < 0 ? client_garbled(r) : 0;
}

/* False: nobody writes to it any more. */
static bool pass_on(Log *l, Source *s) {
        char buffer[STEP];
        ssize_t n = read(s->stream, buffer, sizeof(buffer));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return true;
        if (n <= 0)
                return false;
        print_part(l, s, buffer, (size_t) n);
        return fflush(stdout) == 0;
}

static int follow(Log *l) {
        _cleanup_free_ struct pollfd *fds = new0(struct pollfd, l->n);
        size_t open = l->n;
        int r = fds ? 0 : client_fail("out of memory");

        for (size_t i = 0; r == 0 && i < l->n; i++) {
                r = open_stream(l, &l->sources[i]);
                fds[i] = (struct pollfd) { .fd = l->sources[i].stream, .events = POLLIN };
        }
        while (r == 0 && open > 0) {
                if (poll(fds, l->n, -1) < 0 && errno != EINTR)
                        return client_fail("%s", strerror(errno));
                for (size_t i = 0; i < l->n; i++)
                        if (fds[i].fd >= 0 && fds[i].revents && !pass_on(l, &l->sources[i])) {
                                fds[i].fd = -1;
                                open--;
                        }
        }
        return r;
}

static int read_lines(const Client *c, bool follows, uint64_t *ret) {
        const char *text = option_given(c, "lines", 0);

        *ret = follows ? LINES_BEFORE_FOLLOW : UINT64_MAX;
        if (!text || streq(text, "all") || parse_u64(text, 10, ret) >= 0) {
                *ret = text && streq(text, "all") ? UINT64_MAX : *ret;
                return 0;
        }
        (void) client_fail("--lines=%s: expected a number, or all", text);
        return USAGE;
}

static int show(Log *l, const char *wanted) {
        bool follows = option_given(l->client, "follow", 0);
        uint64_t lines;
        int r = read_lines(l->client, follows, &lines);

        if (r == 0 && follows && l->client->json != JSON_OFF) {
                (void) client_fail("--follow has no end, so there is no JSON of it");
                return USAGE;
        }
        r = r ?: find_sources(l, wanted);
        for (size_t i = 0; r == 0 && i < l->n; i++)
                r = find_range(l, &l->sources[i], lines);
        if (r != 0)
                return r;
        return follows ? follow(l) : l->client->json != JSON_OFF ? print_as_json(l) : print_all(l);
}

int verb_log(Client *c, int argc, char **argv) {
        Log l = { .client = c, .vm = argv[0] };
        int r = show(&l, argc > 1 ? argv[1] : NULL);

        for (size_t i = 0; i < l.n; i++) {
                fd_close(l.sources[i].stream);
                text_clear(&l.sources[i].filter.text);
        }
        free(l.sources);
        json_decref(l.rows);
        return r;
}
