/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "fd.h"
#include "file.h"
#include "mem.h"
#include "str.h"

#define LEFTOVER_PREFIX ".#" /* what file_write_atomic() puts before a temporary name */

#define AGAIN_USEC (1000u * 1000)

/* What is to be written yet. */
typedef struct Unwritten {
        char *name, *data;
        size_t length;
        LIST_ENTRY(Unwritten) link;
} Unwritten;

struct Store {
        char *folder, *suffix;
        bool made;
        sd_event_source *again;      /* NULL: it does not insist */
        LIST_HEAD(, Unwritten) unwritten;
};

int store_new(const char *folder, const char *suffix, Store **ret) {
        _cleanup_(store_freep) Store *s = NULL;

        assert(folder && suffix && ret);

        s = new0(Store, 1);
        if (!s || free_and_strdup(&s->folder, folder) < 0 || free_and_strdup(&s->suffix, suffix) < 0)
                return -ENOMEM;
        LIST_INIT(&s->unwritten);
        *ret = TAKE_PTR(s);
        return 0;
}

static void unwritten_free(Unwritten *u) {
        LIST_REMOVE(u, link);
        free(u->name);
        free(u->data);
        free(u);
}

static void forget(Store *s, const char *name) {
        Unwritten *u, *next;

        for (u = LIST_FIRST(&s->unwritten); u; u = next) {
                next = LIST_NEXT(u, link);
                if (streq(u->name, name))
                        unwritten_free(u);
        }
}

Store *store_free(Store *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->again);
        while (!LIST_EMPTY(&s->unwritten))
                unwritten_free(LIST_FIRST(&s->unwritten));
        free(s->folder);
        free(s->suffix);
        free(s);
        return NULL;
}

static bool stays(const char *name, const char *p) {
        unsigned char c = (unsigned char) *p;

        return c >= 0x80 || isalnum(c) || c == '_' || c == '-' || (c == '.' && p != name);
}

char *store_escape(const char *name) {
        Text t = TEXT_INIT;

        assert(name);

        text_add(&t, "");
        for (const char *p = name; *p; p++)
                if (stays(name, p))
                        text_addn(&t, p, 1);
                else
                        text_addf(&t, "%%%02X", (unsigned char) *p);
        return text_finish(&t);
}

char *store_unescape(const char *file) {
        Text t = TEXT_INIT;

        assert(file);

        text_add(&t, "");
        for (const char *p = file; *p; p++) {
                char hex[3] = {}, c;
                uint64_t v;

                if (*p != '%') {
                        text_addn(&t, p, 1);
                        continue;
                }
                if (!p[1] || !p[2]) {
                        text_clear(&t);
                        return NULL;
                }
                memcpy(hex, p + 1, 2);
                if (parse_u64(hex, 16, &v) < 0 || v == 0) {
                        text_clear(&t);
                        return NULL;
                }
                c = (char) v;
                text_addn(&t, &c, 1);
                p += 2;
        }
        return text_finish(&t);
}

char *store_path(const Store *s, const char *name) {
        _cleanup_free_ char *file = NULL;

        assert(s && name);

        file = store_escape(name);
        return file ? strf("%s/%s%s", s->folder, file, s->suffix) : NULL;
}

const char *store_folder(const Store *s) {
        assert(s);

        return s->folder;
}

int object_name_check(const char *kind, const char *name, Fault *f) {
        const char *wrong = NULL;

        if (is_empty(name))
                wrong = "is empty";
        else if (strlen(name) > STORE_NAME_MAX)
                wrong = "is longer than 200 bytes";
        else if (!is_utf8(name))
                wrong = "is not UTF-8";
        else if (strchr(name, '/'))
                wrong = "contains '/'";
        else if (*name == '.' || *name == '-')
                wrong = "starts with '.' or '-'";
        for (const char *p = name; !wrong && *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        wrong = "contains a line break or another control character";
        if (!wrong)
                return 0;
        return fault_set(f, FAULT_INVALID_DEFINITION, EINVAL, "the name of a %s %s", kind, wrong);
}

static int path_of(const Store *s, const char *name, char **ret) {
        _cleanup_free_ char *path = NULL;

        if (!*name || strlen(name) > STORE_NAME_MAX)
                return -EINVAL;
        path = store_path(s, name);
        if (!path)
                return -ENOMEM;
        if (strlen(strrchr(path, '/')) > NAME_MAX - strlen(LEFTOVER_PREFIX))
                return -EINVAL;
        *ret = TAKE_PTR(path);
        return 0;
}

static int write_now(Store *s, const char *name, const void *data, size_t length) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = path_of(s, name, &path);
        if (r < 0)
                return r;
        if (!s->made) {
                r = mkdir_parents(s->folder, 0700);
                if (r < 0)
                        return r;
                s->made = true;
        }
        r = file_write_atomic(path, data, length, 0600);
        if (r == -ENOENT) /* somebody removed the folder */
                s->made = false;
        return r;
}

static void arm_again(Store *s) {
        (void) sd_event_source_set_time_relative(s->again, AGAIN_USEC);
        (void) sd_event_source_set_enabled(s->again, SD_EVENT_ONESHOT);
}

static void remember(Store *s, const char *name, const void *data, size_t length) {
        Unwritten *u = new0(Unwritten, 1);

        if (!u)
                return;
        LIST_INSERT_HEAD(&s->unwritten, u, link);
        u->name = strdup(name);
        u->data = malloc(MAX(length, 1u));
        u->length = length;
        if (!u->name || !u->data) {
                unwritten_free(u);
                return;
        }
        memcpy(u->data, data, length);
        arm_again(s);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Unwritten *u, *next;
        Store *s = userdata;

        for (u = LIST_FIRST(&s->unwritten); u; u = next) {
                next = LIST_NEXT(u, link);
                if (write_now(s, u->name, u->data, u->length) >= 0)
                        unwritten_free(u);
        }
        if (!LIST_EMPTY(&s->unwritten))
                arm_again(s);
        return 0;
}

int store_insist(Store *s, sd_event *event) {
        int r = sd_event_add_time_relative(event, &s->again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, s);

        return r < 0 ? r : sd_event_source_set_enabled(s->again, SD_EVENT_OFF);
}

int store_write(Store *s, const char *name, const void *data, size_t length) {
        int r;

        assert(s && name);

        forget(s, name);
        r = write_now(s, name, data, length);
        if (r < 0 && r != -EINVAL && s->again)
                remember(s, name, data, length);
        return r;
}

int store_read(Store *s, const char *name, char **ret, size_t *ret_length) {
        _cleanup_free_ char *path = NULL;
        int r;

        assert(s && name && ret);

        r = path_of(s, name, &path);
        return r < 0 ? r : file_read(path, STORE_FILE_MAX, ret, ret_length);
}

int store_remove(Store *s, const char *name) {
        _cleanup_free_ char *path = NULL;
        int r;

        assert(s && name);

        forget(s, name);
        r = path_of(s, name, &path);
        return r < 0 ? r : file_remove(path);
}

bool store_exists(Store *s, const char *name) {
        _cleanup_free_ char *path = NULL;

        assert(s && name);

        return path_of(s, name, &path) >= 0 && access(ASSERT_PTR(path), F_OK) == 0;
}

size_t store_count(const Store *s) {
        const struct dirent *e;
        size_t n = 0;
        DIR *d;

        assert(s);

        d = opendir(s->folder);
        if (!d)
                return 0;
        while ((e = readdir(d)))
                n += !str_after(e->d_name, LEFTOVER_PREFIX) && str_ends(e->d_name, s->suffix);
        (void) closedir(d);
        return n;
}

static int is_visible_or_leftover(const struct dirent *e) {
        return !streq(e->d_name, ".") && !streq(e->d_name, "..");
}

static int scan_one(Store *s, const char *file, StoreFunc found, void *userdata) {
        _cleanup_free_ char *stem = NULL, *name = NULL, *path = NULL, *text = NULL;
        size_t length = 0;
        int r;

        path = strf("%s/%s", s->folder, file);
        if (!path)
                return -ENOMEM;
        if (str_after(file, LEFTOVER_PREFIX) && str_ends(file, s->suffix)) {
                (void) unlink(path);
                return 0;
        }
        if (!str_ends(file, s->suffix))
                return 0;
        stem = strndup(file, strlen(file) - strlen(s->suffix));
        name = stem ? store_unescape(stem) : NULL;
        if (!name)
                return stem ? 0 : -ENOMEM;

        r = file_read(path, STORE_FILE_MAX, &text, &length);
        return found(name, text, length, r, userdata);
}

int store_scan(Store *s, StoreFunc found, void *userdata) {
        struct dirent **list = NULL;
        int n, r = 0;

        assert(s && found);

        n = scandir(s->folder, &list, is_visible_or_leftover, alphasort);
        if (n < 0)
                return errno == ENOENT ? 0 : -errno;
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = scan_one(s, list[i]->d_name, found, userdata);
                free(list[i]);
        }
        free(list);
        return MIN(r, 0);
}
