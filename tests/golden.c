/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "golden.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static int is_case(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

void golden_scan(const char *folder, GoldenCase run, void *userdata) {
        struct dirent **entries;
        int n;

        n = scandir(folder, &entries, is_case, alphasort);
        if (n <= 0)
                fail_msg("no cases in %s", folder);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;

                assert_true(asprintf(&path, "%s/%s", folder, entries[i]->d_name) > 0);
                run(path, entries[i]->d_name, userdata);
                free(entries[i]);
        }
        free(entries);
}

char *golden_read(const char *path, const char *file, size_t *ret_length) {
        _cleanup_free_ char *name = NULL;
        char *text = NULL;
        size_t size = 0;
        FILE *stream;
        ssize_t n;

        assert_true(asprintf(&name, "%s/%s", path, file) > 0);
        stream = fopen(name, "re");
        if (!stream)
                return NULL;

        n = getdelim(&text, &size, EOF, stream);
        fclose(stream);
        if (n < 0) {
                free(text);
                text = strdup("");
                n = 0;
        }
        if (ret_length)
                *ret_length = (size_t) n;
        return text;
}

static void golden_write(const char *path, const char *file, const char *text) {
        _cleanup_free_ char *name = NULL;
        FILE *stream;

        assert_true(asprintf(&name, "%s/%s", path, file) > 0);
        if (!text) {
                (void) unlink(name);
                return;
        }
        stream = fopen(name, "we");
        if (!stream)
                fail_msg("can't write %s", name);
        fputs(text, stream);
        assert_int_equal(fclose(stream), 0);
}

static void print_difference(const char *path, const char *file, const char *expected, const char *actual) {
        unsigned line = 1;

        while (*expected && *expected == *actual) {
                line += *expected == '\n';
                expected++;
                actual++;
        }
        print_error("%s/%s differs in line %u:\n  expected: ...%.*s\n  actual:   ...%.*s\n", path, file, line, (int) strcspn(expected, "\n"),
                    expected, (int) strcspn(actual, "\n"), actual);
}

bool golden_compare(const char *path, const char *file, const char *actual) {
        _cleanup_free_ char *expected = golden_read(path, file, NULL);

        if (getenv("REGEN")) {
                golden_write(path, file, actual);
                return true;
        }
        if (!expected && !actual)
                return true;
        if (expected && actual && strcmp(expected, actual) == 0)
                return true;
        print_difference(path, file, expected ?: "(no such file)", actual ?: "(nothing)");
        return false;
}
