/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../virtlogd/logfile.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#define SIZE LOGFILE_SIZE_MIN

typedef struct Bed {
        char folder[32], path[64];
        int pipe[2];
        Logfile *log;
        uint64_t noted;
} Bed;

static int on_rotating(uint64_t first, void *userdata) {
        ((Bed *) userdata)->noted = first;
        return 0;
}

static void reopen(Bed *b, unsigned backups) {
        const LogfileLimits limits = { SIZE, backups };
        uint64_t first = b->log ? logfile_first(b->log) : 0;

        b->log = logfile_free(b->log);
        assert_ok(logfile_open(b->path, &limits, first, &b->log));
        logfile_on_rotation(b->log, on_rotating, b);
}

static int setup(void **state) {
        Bed *b = new0(Bed, 1);

        *state = b;
        strcpy(b->folder, "/tmp/test-logfile.XXXXXX");
        assert_non_null(mkdtemp(b->folder));
        (void) snprintf(b->path, sizeof(b->path), "%s/deep/x.log", b->folder);
        assert_ok(pipe2(b->pipe, O_CLOEXEC | O_NONBLOCK));
        reopen(b, 3);
        return 0;
}

static int teardown(void **state) {
        Bed *b = *state;

        logfile_free(b->log);
        close(b->pipe[0]);
        close(b->pipe[1]);
        for (int i = -1; i < 6; i++) {
                _cleanup_free_ char *path = i < 0 ? strdup(b->path) : strf("%s.%d", b->path, i);

                (void) unlink(path);
        }
        *strrchr(b->path, '/') = '\0';
        assert_ok(rmdir(b->path));
        assert_ok(rmdir(b->folder));
        free(b);
        return 0;
}

/* Everything that is in the pipe. */
static void drain(Bed *b) {
        int available;

        for (;;) {
                assert_ok(ioctl(b->pipe[0], FIONREAD, &available));
                if (available == 0)
                        return;
                assert_true(logfile_fill(b->log, b->pipe[0], (size_t) available, 65536) >= 0);
        }
}

static void feed(Bed *b, const char *text) {
        assert_int_equal(write(b->pipe[1], text, strlen(text)), strlen(text));
        drain(b);
}

static char *read_back(Bed *b, int i) {
        _cleanup_free_ char *path = i < 0 ? strdup(b->path) : strf("%s.%d", b->path, i);
        char *text = NULL;
        size_t length;

        return file_read(path, 1 << 20, &text, &length) >= 0 ? text : NULL;
}

/* The whole kept stream, through logfile_seek(). */
static char *read_stream(Bed *b) {
        uint64_t at = logfile_first(b->log);
        Text t = TEXT_INIT;
        LogfilePlace p;

        text_add(&t, "");
        while (logfile_seek(b->log, &at, &p) >= 0) {
                _cleanup_free_ char *part = new0(char, p.length + 1);

                assert_int_equal(pread(p.fd, part, p.length, p.offset), p.length);
                text_addn(&t, part, p.length);
                at += p.length;
                close(p.fd);
        }
        return text_finish(&t);
}

static void lines_stay_whole(void **state) {
        _cleanup_free_ char *stream = NULL;
        Bed *b = *state;
        Text all = TEXT_INIT;

        for (unsigned i = 0; i < 3000; i++) {
                _cleanup_free_ char *line = strf("line %u %.*s\n", i, (int) (i % 40), "........................................");

                text_add(&all, line);
                /* Now and then in two halves. */
                if (i % 7 == 0) {
                        char c = line[5];

                        line[5] = '\0';
                        feed(b, line);
                        line[5] = c;
                        feed(b, line + 5);
                } else
                        feed(b, line);
        }
        for (int i = -1; i < 3; i++) {
                _cleanup_free_ char *text = read_back(b, i);

                assert_non_null(text);
                assert_true(strlen(text) <= SIZE && (i < 0 || strlen(text) > SIZE - LOGFILE_WHOLE_LINE));
                assert_memory_equal(text, "line ", 5);
                assert_int_equal(text[strlen(text) - 1], '\n');
        }
        assert_null(read_back(b, 3));
        stream = read_stream(b);
        assert_true(str_ends(all.data, stream));
        assert_int_equal(logfile_end(b->log), all.length);
        assert_int_equal(logfile_first(b->log), all.length - strlen(stream));
        assert_int_equal(b->noted, logfile_first(b->log));
        text_clear(&all);
}

static void endless_lines_are_cut(void **state) {
        _cleanup_free_ char *stream = NULL, *part = new0(char, 1001);
        Bed *b = *state;

        memset(part, 'x', 1000);
        for (unsigned i = 0; i < 60; i++)
                feed(b, part);
        stream = read_stream(b);
        assert_int_equal(strlen(stream), 60000);
        for (int i = 0; i < 3; i++) {
                _cleanup_free_ char *text = read_back(b, i);

                assert_int_equal(strlen(text), SIZE);
        }
}

static void goes_on_after_reopening(void **state) {
        Bed *b = *state;
        uint64_t end;

        for (unsigned i = 0; i < 1000; i++)
                feed(b, "some line of some length, and more of it\n");
        end = logfile_end(b->log);
        reopen(b, 3);
        assert_int_equal(logfile_end(b->log), end);
        feed(b, "half");
        reopen(b, 3);
        feed(b, " and whole\n");
        {
                _cleanup_free_ char *stream = read_stream(b);

                assert_true(str_ends(stream, "\nhalf and whole\n"));
        }
        reopen(b, 1); /* fewer backups from the next rotation on */
        assert_ok(logfile_rotate(b->log));
        assert_null(read_back(b, 1));
        assert_int_equal(logfile_end(b->log), end + strlen("half and whole\n"));
}

/* What a kill between two renames leaves. */
static void gaps_are_closed(void **state) {
        _cleanup_free_ char *stream = NULL, *before = NULL, *zero = NULL, *one = NULL, *two = NULL, *three = NULL;
        Bed *b = *state;

        reopen(b, 5);
        for (unsigned i = 0; i < 1500; i++) {
                _cleanup_free_ char *line = strf("line %u of some length, and more of it\n", i);

                feed(b, line);
        }
        before = read_stream(b);
        zero = strf("%s.0", b->path);
        one = strf("%s.1", b->path);
        two = strf("%s.2", b->path);
        three = strf("%s.3", b->path);
        assert_ok(access(two, F_OK));
        assert_ok(rename(two, three));
        assert_ok(rename(one, two)); /* … and then it was dead: there is no .1 */
        reopen(b, 5);
        stream = read_stream(b);
        assert_string_equal(stream, before);
        free(stream);
        assert_ok(rename(zero, "/tmp/test-logfile-aside"));
        assert_ok(rename("/tmp/test-logfile-aside", three)); /* the oldest now, by its number */
        reopen(b, 5);
        feed(b, "more\n");
        stream = read_stream(b);
        assert_int_equal(strlen(stream), strlen(before) + 5);
        assert_int_equal(access(three, F_OK), -1);
}

static void no_backups(void **state) {
        Bed *b = *state;

        reopen(b, 0);
        for (unsigned i = 0; i < 1000; i++)
                feed(b, "some line of some length, and more of it\n");
        assert_null(read_back(b, 0));
        assert_int_equal(logfile_end(b->log), 41000);
        assert_true(logfile_end(b->log) - logfile_first(b->log) <= SIZE);
}

static void strange_places(void **state) {
        const LogfileLimits limits = { 0, 1000 };
        Logfile *l = NULL;
        Bed *b = *state;

        assert_error(logfile_open("/proc/nothing/x.log", &limits, 0, &l), ENOENT);
        b->log = logfile_free(b->log);
        assert_ok(unlink(b->path));
        assert_ok(symlink("/etc/passwd", b->path));
        assert_error(logfile_open(b->path, &limits, 0, &l), ELOOP);
        assert_ok(unlink(b->path));
        assert_ok(mkfifo(b->path, 0600));
        assert_error(logfile_open(b->path, &limits, 0, &l), EEXIST);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
TEST_MAIN(ROW(lines_stay_whole), ROW(endless_lines_are_cut), ROW(goes_on_after_reopening), ROW(gaps_are_closed), ROW(no_backups), ROW(strange_places))
