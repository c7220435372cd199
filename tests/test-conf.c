/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf-rows.h"
#include "file.h"
#include "mem.h"
#include "str.h"

TEST(every_kind_of_value) {
        _cleanup_(target_clear) Target t = { .number = 7 };
        _cleanup_fault_ Fault f = FAULT_INIT;

        assert_ok(conf_parse("x.conf",
                             "# a note\n[A]\r\nString = some words \n  ; another\nPath=/var/lib\nBool=on\n"
                             "[B]\nSize=64 MiB\nDuration=2min\nMode=never\n[A]\nBool=off\n", rows, ARRAY_SIZE(rows), &t, &f));
        assert_string_equal(t.string, "some words");
        assert_string_equal(t.path, "/var/lib");
        assert_false(t.yes);
        assert_int_equal(t.number, 7);
        assert_int_equal(t.bytes, 64 << 20);
        assert_int_equal(t.usec, 120 * 1000000);
        assert_int_equal(t.word, 1);
}

static void refuse(const char *text, const char *message) {
        _cleanup_(target_clear) Target t = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *whole = NULL;

        assert_true(conf_parse("x.conf", text, rows, ARRAY_SIZE(rows), &t, &f) < 0);
        assert_int_equal(f.kind, FAULT_INVALID_ARGS);
        whole = strf("%s\n%s", fault_text(&f), f.hint ?: "");
        if (!strstr(whole, message))
                fail_msg("\"%s\" is refused with \"%s\", not \"%s\"", text, fault_text(&f), message);
}

TEST(refusals_name_line_and_remedy) {
        refuse("Bool=yes\n", "x.conf:1: a setting before the first [Section]");
        refuse("[A\nBool=yes\n", "x.conf:1: expected [Section]");
        refuse("[A] x\n", "x.conf:1: expected [Section]");
        refuse("[A]\n\nBool=maybe\n", "x.conf:3: Bool=maybe: expected yes or no");
        refuse("[A]\nPath=lib\n", "x.conf:2: Path=lib: expected an absolute path");
        refuse("[A]\njust words\n", "x.conf:2: expected Key=Value");
        refuse("[A]\nBoll=yes\n", "did you mean Bool in section [A]?");
        refuse("[B]\nBool=yes\n", "did you mean Bool in section [A]?");
        refuse("[B]\nNumber=2\n", "x.conf:2: Number=2: must be from 3 to 1000");
        refuse("[B]\nNumber=99999999999999999999\n", "must be from 3 to 1000");
        refuse("[B]\nNumber=-5\n", "expected a whole number");
        refuse("[B]\nSize=5 parsecs\n", "expected a size like 64MiB");
        refuse("[B]\nSize=99999999 EiB\n", "must be from 0 to");
        refuse("[B]\nDuration=2 fortnights\n", "expected a time like 90s or 2min");
        refuse("[B]\nDuration=\n", "expected a time like 90s or 2min");
        refuse("[B]\nMode=sometimes\n", "x.conf:2: Mode=sometimes: expected auto, never");
}

static void put(const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        assert_ok(file_write_atomic(path, text, strlen(text), 0600));
}

TEST(later_files_win) {
        char folder[] = "/tmp/test-conf.XXXXXX";
        _cleanup_free_ char *path = NULL, *dropins = NULL;
        _cleanup_(target_clear) Target t = {};
        _cleanup_fault_ Fault f = FAULT_INIT;
        static const char *const files[] = { "10-a.conf", "20-b.conf", "30-c.conf", ".hidden.conf", "90-z.conf~" };

        assert_non_null(mkdtemp(folder));
        path = strf("%s/x.conf", folder);
        dropins = strf("%s/x.conf.d", folder);
        assert_ok(conf_load(path, rows, ARRAY_SIZE(rows), &t, &f));   /* nothing there is fine */
        assert_ok(mkdir(dropins, 0700));
        put(folder, "x.conf", "[B]\nNumber=10\nSize=1\n");
        put(dropins, "20-b.conf", "[B]\nNumber=30\n");
        put(dropins, "10-a.conf", "[B]\nNumber=20\nDuration=1ms\n");
        put(dropins, ".hidden.conf", "[B]\nNumber=40\n");
        put(dropins, "90-z.conf~", "[B]\nNumber=50\n");
        assert_ok(conf_load(path, rows, ARRAY_SIZE(rows), &t, &f));
        assert_int_equal(t.number, 30);
        assert_int_equal(t.bytes, 1);
        assert_int_equal(t.usec, 1000);
        put(dropins, "30-c.conf", "[B]\n\nNumber=x\n");
        assert_true(conf_load(path, rows, ARRAY_SIZE(rows), &t, &f) < 0);
        assert_non_null(strstr(fault_text(&f), "x.conf.d/30-c.conf:3: "));

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                _cleanup_free_ char *file = strf("%s/%s", dropins, files[i]);

                assert_ok(unlink(file));
        }
        assert_ok(rmdir(dropins));
        assert_ok(unlink(path));
        assert_ok(rmdir(folder));
}

TEST_MAIN(TEST_ROW(every_kind_of_value), TEST_ROW(refusals_name_line_and_remedy), TEST_ROW(later_files_win))
