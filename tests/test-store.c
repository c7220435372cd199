/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "registry.h"
#include "store.h"
#include "str.h"

static const char *const names[] = { "a", "web-1", ".hidden", "..", "a/b", "../../etc/passwd", "100%", "line\nbreak", "zwölf", "日本", " " };

typedef struct Found {
        char **names;
        unsigned broken;
        int answer;
} Found;

static int on_found(const char *name, const char *text, size_t length, int error, void *userdata) {
        Found *f = userdata;

        if (error < 0)
                f->broken++;
        else
                assert_int_equal(length, strlen(text));
        assert_ok(strv_push(&f->names, name));
        return f->answer;
}

static void remove_folder(const char *folder) {
        assert_ok(rmdir(folder));
}

TEST(names_come_back) {
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *file = store_escape(names[i]), *back = store_unescape(file);

                assert_null(strchr(file, '/'));
                assert_true(file[0] != '.');
                assert_string_equal(back, names[i]);
        }
        assert_null(store_unescape("a%2"));
        assert_null(store_unescape("a%00b"));
        assert_null(store_unescape("a%zz"));
}

TEST(files_come_and_go) {
        char folder[] = "/tmp/test-store.XXXXXX";
        _cleanup_(store_freep) Store *s = NULL;
        _cleanup_free_ char *inner = NULL, *text = NULL, *leftover = NULL, *strange = NULL, *path = NULL;
        Found found = {};
        struct stat st;
        size_t length;

        assert_non_null(mkdtemp(folder));
        inner = strf("%s/deep/er", folder);
        assert_ok(store_new(inner, ".xml", &s));
        assert_ok(store_scan(s, on_found, &found));   /* no folder yet: nothing there */
        assert_null(found.names);
        assert_int_equal(store_count(s), 0);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_ok(store_write(s, names[i], names[i], strlen(names[i])));
        assert_ok(store_write(s, "a", "second", 6));
        assert_ok(store_read(s, "a", &text, &length));
        assert_string_equal(text, "second");
        assert_true(store_exists(s, "..") && !store_exists(s, "b"));
        path = store_path(s, "a");
        assert_ok(stat(path, &st));
        assert_int_equal(st.st_mode & 07777, 0600);

        /* What a crash leaves is swept away, what is not ours stays. */
        leftover = strf("%s/.#a.xml", inner);
        strange = strf("%s/README", inner);
        assert_ok(close(creat(leftover, 0600)));
        assert_ok(close(creat(strange, 0600)));
        assert_int_equal(store_count(s), ARRAY_SIZE(names));
        assert_ok(store_scan(s, on_found, &found));
        assert_int_equal(strv_length(found.names), ARRAY_SIZE(names));
        assert_int_equal(access(leftover, F_OK), -1);
        assert_ok(access(strange, F_OK));
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_true(strv_contains(found.names, names[i]));
        found.names = strv_free(found.names);
        found.answer = -ECANCELED;
        assert_error(store_scan(s, on_found, &found), ECANCELED);
        assert_int_equal(strv_length(found.names), 1);
        found.names = strv_free(found.names);

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_ok(store_remove(s, names[i]));
        assert_ok(store_remove(s, "a"));
        assert_ok(unlink(strange));
        remove_folder(inner);
        *strrchr(inner, '/') = '\0';
        remove_folder(inner);
        remove_folder(folder);
}

TEST(impossible_names) {
        _cleanup_(store_freep) Store *s = NULL;
        char text[STORE_NAME_MAX + 2];

        assert_ok(store_new("/tmp/test-store-never", ".xml", &s));
        assert_error(store_write(s, "", "", 0), EINVAL);
        memset(text, 'x', sizeof(text));
        text[STORE_NAME_MAX + 1] = '\0';
        assert_error(store_write(s, text, "", 0), EINVAL);
        memset(text, '/', STORE_NAME_MAX); /* three bytes each in the file's name */
        text[STORE_NAME_MAX] = '\0';
        assert_error(store_write(s, text, "", 0), EINVAL);
        assert_int_equal(access("/tmp/test-store-never", F_OK), -1);
}

typedef struct Object {
        sd_id128_t uuid;
} Object;

TEST(registry_by_name_and_uuid) {
        _cleanup_(registry_freep) Registry *r = NULL;
        Object objects[3] = {
                { SD_ID128_MAKE(11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11) },
                { SD_ID128_MAKE(22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22, 22) },
                { SD_ID128_MAKE(33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33) },
        };
        unsigned n = 0;

        assert_ok(registry_new(&r));
        assert_ok(registry_add(r, "one", objects[0].uuid, &objects[0]));
        assert_ok(registry_add(r, "two", objects[1].uuid, &objects[1]));
        assert_error(registry_add(r, "one", objects[2].uuid, &objects[2]), EEXIST);
        assert_error(registry_add(r, "three", objects[0].uuid, &objects[2]), EEXIST);
        assert_ok(registry_add(r, "three", objects[2].uuid, &objects[2]));
        assert_ptr_equal(registry_find_name(r, "two"), &objects[1]);
        assert_ptr_equal(registry_find_id(r, objects[2].uuid), &objects[2]);
        assert_error(registry_rename(r, objects[0].uuid, "two"), EEXIST);
        assert_ok(registry_rename(r, objects[0].uuid, "uno"));
        assert_null(registry_find_name(r, "one"));
        assert_ptr_equal(registry_find_name(r, "uno"), &objects[0]);

        REGISTRY_FOREACH(Object, o, r) {
                assert_ptr_equal(o, &objects[n++]);
                registry_remove(r, o->uuid);
        }
        assert_int_equal(n, 3);
        assert_int_equal(registry_count(r), 0);
        assert_error(registry_rename(r, objects[0].uuid, "x"), ENOENT);
}

static bool has(Store *s, const char *name, const char *expected) {
        _cleanup_free_ char *text = NULL;
        size_t n;

        return store_read(s, name, &text, &n) >= 0 && streq(text, expected);
}

/* Whatever is in the way: as soon as it has gone. */
TEST(what_cannot_be_written_is_tried_again) {
        char folder[] = "/tmp/test-store-XXXXXX";
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(store_freep) Store *s = NULL;
        _cleanup_free_ char *below = NULL;

        assert_non_null(mkdtemp(folder));
        below = strf("%s/below", folder);
        assert_non_null(below);
        assert_ok(sd_event_new(&event));
        assert_ok(store_new(below, ".json", &s));
        assert_ok(store_insist(s, event));
        assert_ok(symlink("/proc/nothing/here", below));
        assert_true(store_write(s, "a", "first", 5) < 0);
        assert_true(store_write(s, "a", "second", 6) < 0);
        assert_true(store_write(s, "b", "removed", 7) < 0);
        assert_ok(store_remove(s, "b"));
        assert_false(store_exists(s, "a"));
        assert_ok(unlink(below));
        for (unsigned i = 0; i < 60 && !store_exists(s, "a"); i++)
                assert_ok(sd_event_run(event, 1000 * 1000));
        assert_true(has(s, "a", "second"));
        assert_false(store_exists(s, "b"));
        assert_ok(store_remove(s, "a"));
        remove_folder(below);
        remove_folder(folder);
}

TEST_MAIN(TEST_ROW(names_come_back), TEST_ROW(files_come_and_go), TEST_ROW(impossible_names),
          TEST_ROW(what_cannot_be_written_is_tried_again), TEST_ROW(registry_by_name_and_uuid))
