/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "fd.h"
#include "file.h"
#include "log.h"
#include "str.h"

TEST(numbers_are_strict) {
        uint64_t v = 7;
        int64_t i = 7;

        assert_ok(parse_u64("18446744073709551615", 10, &v));
        assert_true(v == UINT64_MAX);
        assert_error(parse_u64("18446744073709551616", 10, &v), ERANGE);
        assert_error(parse_u64("", 10, &v), EINVAL);
        assert_error(parse_u64("-1", 10, &v), EINVAL);
        assert_error(parse_u64(" 1", 10, &v), EINVAL);
        assert_error(parse_u64("1 ", 10, &v), EINVAL);
        assert_true(v == UINT64_MAX);
        assert_ok(parse_u64("0x1f", 0, &v));
        assert_int_equal(v, 31);
        assert_error(parse_u64("0x", 0, &v), EINVAL);
        assert_ok(parse_u64("010", 0, &v));
        assert_int_equal(v, 10);
        assert_ok(parse_i64("-42", &i));
        assert_int_equal(i, -42);
}

TEST(size_units) {
        uint64_t v;

        assert_ok(parse_size_unit("KiB", &v));
        assert_int_equal(v, 1024);
        assert_ok(parse_size_unit("GB", &v));
        assert_int_equal(v, 1000000000);
        assert_ok(parse_size_unit("bytes", &v));
        assert_int_equal(v, 1);
        assert_ok(parse_size_unit("E", &v));
        assert_true(v == UINT64_C(1) << 60);
        assert_error(parse_size_unit("", &v), EINVAL);
        assert_error(parse_size_unit("XiB", &v), EINVAL);
        assert_error(parse_size_unit("KiBs", &v), EINVAL);
}

TEST(nearest_word) {
        const char *const words[] = { "source", "target", "driver", "readonly" };

        assert_string_equal(str_nearest("traget", words, ARRAY_SIZE(words)), "target");
        assert_string_equal(str_nearest("Driver", words, ARRAY_SIZE(words)), "driver");
        assert_null(str_nearest("xyzzy", words, ARRAY_SIZE(words)));
}

TEST(names_of_files_stay) {
        assert_int_equal(str_hash(""), UINT64_C(0xcbf29ce484222325));
        assert_int_equal(str_hash("a"), UINT64_C(0xaf63dc4c8601ec8c));
        assert_int_equal(str_hash("foobar"), UINT64_C(0x85944171f73967e8));
}

TEST(utf8) {
        assert_true(is_utf8("gr\xc3\xbc\xc3\x9f"));
        assert_false(is_utf8("\xc0\xaf"));
        assert_false(is_utf8("\xed\xa0\x80"));
        assert_false(is_utf8("\xf4\x90\x80\x80"));
        assert_false(is_utf8("\xe2\x82"));
}

TEST(string_vectors) {
        _cleanup_strv_ char **v = NULL, **copy = NULL;
        _cleanup_free_ char *joined = NULL;

        assert_ok(strv_push(&v, "a"));
        assert_ok(strv_pushf(&v, "%d", 5));
        copy = strv_copy(v);
        assert_int_equal(strv_length(copy), 2);
        assert_true(strv_contains(copy, "5"));
        joined = strv_join(copy, ", ");
        assert_string_equal(joined, "a, 5");
}

TEST(first_fault_wins) {
        _cleanup_fault_ Fault f = FAULT_INIT, g = FAULT_INIT;

        assert_error(fault_set(&f, FAULT_BUSY, EBUSY, "the domain is busy"), EBUSY);
        assert_error(fault_set(&f, FAULT_TIMEOUT, ETIMEDOUT, "later"), ETIMEDOUT);
        assert_int_equal(f.kind, FAULT_BUSY);
        fault_prefix(&f, "web");
        fault_hint(&f, "wait");
        assert_string_equal(fault_text(&f), "web: the domain is busy");
        assert_ok(fault_copy(&g, &f));
        assert_string_equal(g.hint, "wait");
        assert_error(fault_set(NULL, FAULT_BUSY, EBUSY, "nobody listens"), EBUSY);
}

TEST(fault_names_are_complete) {
        for (FaultKind k = 0; k < _FAULT_MAX; k++) {
                assert_non_null(fault_kind_to_string(k));
                assert_int_equal(fault_kind_from_string(fault_kind_to_string(k)), k);
        }
        assert_int_equal(fault_kind_from_string("Nonsense"), _FAULT_INVALID);
}

TEST(files_are_replaced_whole) {
        char folder[] = "/tmp/virtbus-test-XXXXXX";
        _cleanup_free_ char *path = NULL, *deep = NULL, *text = NULL;
        struct stat st;
        size_t n;

        assert_non_null(mkdtemp(folder));
        path = strf("%s/a/b/file", folder);
        deep = strf("%s/a/b", folder);
        assert_error(file_write_atomic(path, "x", 1, 0600), ENOENT);
        assert_ok(mkdir_parents(deep, 0700));
        assert_ok(mkdir_parents(deep, 0700));
        assert_ok(file_write_atomic(path, "old", 3, 0600));
        assert_ok(file_write_atomic(path, "newer", 5, 0640));
        assert_ok(file_read(path, 100, &text, &n));
        assert_int_equal(n, 5);
        assert_string_equal(text, "newer");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_error(file_read(path, 4, &text, &n), EFBIG);
        assert_error(file_read(deep, 4, &text, &n), EISDIR);
        assert_ok(file_remove(path));
        assert_ok(file_remove(path));
        assert_int_equal(rmdir(deep), 0);
        assert_ok(file_sync_name(path)); /* the folder's own name is what is synced then */
        assert_error(file_sync_name("/dev/null/x"), ENOTDIR);
        *strrchr(deep, '/') = '\0';
        assert_int_equal(rmdir(deep), 0);
        assert_int_equal(rmdir(folder), 0);
}

TEST(descriptors_travel) {
        int pair[2], got[2] = { -1, -1 };
        _cleanup_fd_ int memfd = -1;
        _cleanup_free_ char *text = NULL;
        char byte = 0;
        size_t n = 2;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        memfd = memfd_new_sealed("test", "hello", 5);
        assert_true(memfd >= 0);
        assert_int_equal(fd_send(pair[0], "x", 1, &memfd, 1), 1);
        assert_int_equal(fd_receive(pair[1], &byte, 1, got, &n), 1);
        assert_int_equal(n, 1);
        assert_int_equal(byte, 'x');
        assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
        assert_ok(fd_read_all(got[0], 100, &text, NULL));
        assert_string_equal(text, "hello");
        assert_int_equal(write(got[0], "x", 1), -1);
        fd_close(got[0]);
        fd_close(pair[0]);
        n = 2;
        assert_int_equal(fd_receive(pair[1], &byte, 1, got, &n), 0);
        fd_close(pair[1]);
}

TEST(log_levels) {
        assert_int_equal(log_level_from_string("debug"), LOG_DEBUG);
        assert_int_equal(log_level_from_string("3"), LOG_ERR);
        assert_error(log_level_from_string("loud"), EINVAL);
        assert_error(log_debug_errno(-ENOENT, "not shown: %m"), ENOENT);
}

TEST_MAIN(
        TEST_ROW(numbers_are_strict), TEST_ROW(size_units), TEST_ROW(nearest_word), TEST_ROW(names_of_files_stay), TEST_ROW(utf8), TEST_ROW(string_vectors),
        TEST_ROW(first_fault_wins), TEST_ROW(fault_names_are_complete), TEST_ROW(files_are_replaced_whole),
        TEST_ROW(descriptors_travel), TEST_ROW(log_levels))
