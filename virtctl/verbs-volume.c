/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "definition.h"
#include "fd.h"
#include "rows.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Volumes, named by their pool and their name. */

static int volume_find(Client *c, char **argv, char **ret) {
        _cleanup_free_ char *pool = NULL;
        int r = pool_find(c, argv[0], &pool);

        return r != 0 ? r : client_find(c, pool, STORAGE1_POOL, "GetVolume", argv[1], ret);
}

int verb_volumes(Client *c, int argc, char **argv) {
        const RowsView view = {
                .what = "volume", .keys = WORDS("name", "file", "format", "capacity", "allocation", "path"),
                .columns = WORDS("NAME", "FORMAT", "CAPACITY", "ALLOCATION"), .shown = WORDS("name", "format", "size", "taken"),
                .add_words = storage_show_sizes,
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *pool = NULL;
        int r = pool_find(c, argv[0], &pool) ?: client_call(c, pool, STORAGE1_POOL, "ListVolumes", &reply, NULL);

        return r ?: rows_show_answer(c, reply, &view);
}

/* --- words --- */

/* KEY=VALUE words as options of a call. */
typedef struct Option {
        const char *key;
        char type;                   /* 's', 'b', or 't' for a size */
} Option;

static int append_option(sd_bus_message *m, const Option *o, const char *value) {
        uint64_t size;
        int r;

        switch (o->type) {
        case 't':
                r = value_read_size(value, &size);
                return r != 0 ? r : sd_bus_message_append(m, "{sv}", o->key, "t", size) < 0 ? client_fail("out of memory") : 0;
        case 'b':
                if (!streq(value, "yes") && !streq(value, "no")) {
                        (void) client_fail("%s=%s: expected yes or no", o->key, value);
                        return USAGE;
                }
                return sd_bus_message_append(m, "{sv}", o->key, "b", (int) streq(value, "yes")) < 0 ? client_fail("out of memory") : 0;
        default:
                return sd_bus_message_append(m, "{sv}", o->key, "s", value) < 0 ? client_fail("out of memory") : 0;
        }
}

static int append_word(sd_bus_message *m, const Option *options, size_t n, const char *word) {
        _cleanup_strv_ char **known = NULL;
        _cleanup_free_ char *all = NULL;

        for (size_t i = 0; i < n; i++) {
                const char *rest = str_after(word, options[i].key);

                if (rest && *rest == '=')
                        return append_option(m, &options[i], rest + 1);
                (void) strv_push(&known, options[i].key);
        }
        all = strv_join(known, "=, ");
        (void) client_fail("\"%s\" is none of %s=", word, all ?: "");
        return USAGE;
}

static int append_words(sd_bus_message *m, const Option *options, size_t n, int argc, char **argv) {
        int r = sd_bus_message_append(m, "t", FLAG_NO_WAIT);

        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return client_fail("out of memory");
        for (int i = 0; i < argc; i++) {
                r = append_word(m, options, n, argv[i]);
                if (r != 0)
                        return r;
        }
        return sd_bus_message_close_container(m) < 0 ? client_fail("out of memory") : 0;
}

/* Sends it, and waits for the job that comes of it: the last object path of the answer. */
static int send_and_wait(Client *c, sd_bus_message *m, const char *types) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *first = "/", *second = "/";
        int r = client_send(c, m, &reply);

        if (r != 0)
                return r;
        r = streq(types, "oo") ? sd_bus_message_read(reply, types, &first, &second) : sd_bus_message_read(reply, types, &second);
        return r < 0 ? client_garbled(r) : client_wait_job(c, second);
}

/* --- making and changing --- */

int verb_create_volume(Client *c, int argc, char **argv) {
        static const Option options[] = {
                { "format", 's' }, { "allocation", 't' }, { "backing", 's' }, { "backing-format", 's' }, { "clone-from", 's' }, { "clone-secret", 's' },
                { "foreign-backing", 'b' }, { "preallocation", 's' },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *pool = NULL;
        bool sized = argc > 2 && !strchr(argv[2], '=');
        uint64_t size = 0;
        int r;

        if (sized) {
                r = value_read_size(argv[2], &size);
                if (r != 0)
                        return r;
        }
        r = pool_find(c, argv[0], &pool);
        if (r == 0)
                r = client_new_call(c, &m, pool, STORAGE1_POOL, "CreateVolume");
        if (r == 0 && sd_bus_message_append(m, "st", argv[1], size) < 0)
                r = client_fail("\"%s\" can't be sent", argv[1]);
        if (r == 0)
                r = append_words(m, options, ARRAY_SIZE(options), argc - 2 - sized, argv + 2 + sized);
        return r != 0 ? r : send_and_wait(c, TAKE_PTR(m), "oo");
}

static int change(Client *c, const char *method, const char *types, uint64_t number, const Option *options, size_t n, int argc, char **argv, int skip) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *volume = NULL;
        int r = volume_find(c, argv, &volume);

        if (r == 0)
                r = client_new_call(c, &m, volume, STORAGE1_VOLUME, method);
        if (r == 0 && *types && sd_bus_message_append(m, types, number) < 0)
                r = client_fail("out of memory");
        if (r == 0)
                r = append_words(m, options, n, argc - skip, argv + skip);
        return r != 0 ? r : send_and_wait(c, TAKE_PTR(m), "o");
}

int verb_resize_volume(Client *c, int argc, char **argv) {
        static const Option options[] = { { "shrink", 'b' }, { "allocate", 'b' }, { "secret", 's' } };
        uint64_t size;
        int r = value_read_size(argv[2], &size);

        return r != 0 ? r : change(c, "Resize", "t", size, options, ARRAY_SIZE(options), argc, argv, 3);
}

int verb_wipe_volume(Client *c, int argc, char **argv) {
        static const Option options[] = { { "algorithm", 's' } };

        return change(c, "Wipe", "", 0, options, ARRAY_SIZE(options), argc, argv, 2);
}

int verb_delete_volume(Client *c, int argc, char **argv) {
        int status = 0;

        for (int i = 1; i < argc; i++) {
                _cleanup_free_ char *volume = NULL;
                int r = volume_find(c, (char *[]) { argv[0], argv[i] }, &volume);

                if (r == 0)
                        r = client_call(c, volume, STORAGE1_VOLUME, "Delete", NULL, "ta{sv}", UINT64_C(0), 0);
                status = status ?: r;
        }
        return status;
}

int verb_cat_volume(Client *c, int argc, char **argv) {
        _cleanup_free_ char *volume = NULL;
        int r = volume_find(c, argv, &volume);

        return r != 0 ? r : definition_print(c, volume, STORAGE1_VOLUME, 0);
}

/* --- formats --- */

int verb_set_format(Client *c, int argc, char **argv) {
        _cleanup_free_ char *volume = NULL;
        int r = volume_find(c, argv, &volume);

        return r != 0 ? r : client_call(c, volume, STORAGE1_VOLUME, "SetFormat", NULL, "sta{sv}", argv[2], UINT64_C(0), 0);
}

int verb_probe_format(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *volume = NULL;
        const char *format;
        int r = volume_find(c, argv, &volume);

        if (r == 0)
                r = client_call(c, volume, STORAGE1_VOLUME, "ProbeFormat", &reply, "ta{sv}", UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "s", &format);
        if (r < 0)
                return client_garbled(r);
        return puts(format) < 0 ? client_fail("standard output can't be written to") : 0;
}

/* --- what is in them --- */

static int transfer(Client *c, const char *method, int fd, int argc, char **argv) {
        static const Option options[] = { { "sparse", 'b' } };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *volume = NULL;
        int r = volume_find(c, argv, &volume);

        if (r == 0)
                r = client_new_call(c, &m, volume, STORAGE1_VOLUME, method);
        if (r == 0 && sd_bus_message_append(m, "htt", fd, UINT64_C(0), UINT64_C(0)) < 0)
                r = client_fail("the file can't be sent");
        if (r == 0)
                r = append_words(m, options, ARRAY_SIZE(options), argc - 3, argv + 3);
        return r != 0 ? r : send_and_wait(c, TAKE_PTR(m), "o");
}

int verb_upload_volume(Client *c, int argc, char **argv) {
        _cleanup_fd_ int fd = streq(argv[2], "-") ? fd_copy(STDIN_FILENO) : open(argv[2], O_RDONLY | O_CLOEXEC);

        return fd < 0 ? client_fail("%s: %s", argv[2], strerror(errno)) : transfer(c, "Upload", fd, argc, argv);
}

int verb_download_volume(Client *c, int argc, char **argv) {
        _cleanup_fd_ int fd = streq(argv[2], "-") ? fd_copy(STDOUT_FILENO) : open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        return fd < 0 ? client_fail("%s: %s", argv[2], strerror(errno)) : transfer(c, "Download", fd, argc, argv);
}
