/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "definition.h"
#include "fd.h"
#include "rows.h"
#include "show.h"
#include "storage.h"
#include "str.h"
#include "values.h"
#include "verbs.h"

/* Secrets, named by UUID, or by what they are for: volume:/srv/web.qcow2, ceph:client.web. */

#define VALUE_MAX ((size_t) 64 * 1024)

static int secret_find(Client *c, const char *name, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *colon = strchr(name, ':');
        _cleanup_free_ char *type = NULL;
        int r;

        if (!colon)
                return client_find(c, STORAGE1_ROOT, STORAGE1_MANAGER, "GetSecret", name, ret);
        type = strndup(name, (size_t) (colon - name));
        if (!type)
                return client_fail("out of memory");
        r = client_call(c, STORAGE1_ROOT, STORAGE1_MANAGER, "GetSecretByUsage", &reply, "ss", type, colon + 1);
        return r != 0 ? r : client_take_path(reply, ret);
}

int verb_secrets(Client *c, int argc, char **argv) {
        static const char *const keys[] = { "uuid", "usage", "id", "set", "path" };
        static const char *const columns[] = { "UUID", "USAGE", "ID", "VALUE" }, *const shown[] = { "uuid", "usage", "id", "value" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *rows = NULL, *list = NULL;
        json_t *secret;
        size_t i;
        int r;

        r = client_call(c, STORAGE1_ROOT, STORAGE1_MANAGER, "ListSecrets", &reply, NULL);
        if (r != 0)
                return r;
        rows = value_to_json(reply);
        list = rows_with_keys(rows, keys, ARRAY_SIZE(keys));
        if (c->json != JSON_OFF)
                return print_json(c, json_incref(list));
        json_array_foreach(list, i, secret)
                (void) json_object_set_new(secret, "value", json_string(json_is_true(json_object_get(secret, "set")) ? "set" : "none"));
        return rows_print(c, list, columns, shown, ARRAY_SIZE(columns), "secret");
}

int verb_define_secret(Client *c, int argc, char **argv) {
        return definition_send(c, STORAGE1_ROOT, STORAGE1_MANAGER, "DefineSecret", argc, argv);
}

int verb_export_secret(Client *c, int argc, char **argv) {
        _cleanup_free_ char *path = NULL;
        int r = secret_find(c, argv[0], &path);

        return r != 0 ? r : definition_print(c, path, STORAGE1_SECRET, 0);
}

static int undefine_one(Client *c, const char *path) {
        return client_call(c, path, STORAGE1_SECRET, "Undefine", NULL, "ta{sv}", UINT64_C(0), 0);
}

int verb_undefine_secret(Client *c, int argc, char **argv) {
        return client_each(c, argc, argv, secret_find, undefine_one);
}

/* --- values --- */

typedef struct Value {
        char *data;
        size_t length;
} Value;

static void value_done(Value *v) {
        if (v->data)
                explicit_bzero(v->data, v->length);
        free(v->data);
}

static volatile sig_atomic_t ended_by;

static void on_end(int sig) {
        ended_by = sig;
}

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* A terminal gives whole lines. Signals come here and nowhere else, so that none is missed. */
static bool wait_for_line(const sigset_t *usual) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

        while (!ended_by)
                if (ppoll(&p, 1, NULL, usual) >= 0)
                        return true;
        return false;
}

/* What is typed is not shown, and the terminal is as before even if somebody gives up. */
static ssize_t ask(const char *name, char **line) {
        const struct sigaction catch = { .sa_handler = on_end };
        struct sigaction before[ARRAY_SIZE(ends)];
        struct termios usual, silent;
        sigset_t held, mask;
        size_t size = 0;
        ssize_t n;

        if (tcgetattr(STDIN_FILENO, &usual) < 0)
                return getline(line, &size, stdin);
        (void) sigemptyset(&held);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                (void) sigaddset(&held, ends[i]);
        (void) sigprocmask(SIG_BLOCK, &held, &mask);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                (void) sigaction(ends[i], &catch, &before[i]);
        silent = usual;
        silent.c_lflag = (silent.c_lflag & ~(tcflag_t) ECHO) | ECHONL;
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        fprintf(stderr, "Value of secret %s: ", name);
        n = wait_for_line(&mask) ? getline(line, &size, stdin) : -1;
        (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                (void) sigaction(ends[i], &before[i], NULL);
        (void) sigprocmask(SIG_SETMASK, &mask, NULL);
        if (ended_by)
                (void) raise(ended_by);
        return n;
}

/* One line, whose end does not belong to it. */
static int read_line(const char *name, Value *ret) {
        ssize_t n = ask(name, &ret->data);

        if (n < 0)
                return client_fail("no value came from standard input");
        ret->length = (size_t) n;
        if (n > 0 && ret->data[n - 1] == '\n')
                ret->length--;
        return 0;
}

/* All there is, byte by byte. */
static int read_whole(const char *file, Value *ret) {
        _cleanup_fd_ int fd = streq(file, "-") ? fd_copy(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int r = fd < 0 ? -errno : fd_read_all(fd, VALUE_MAX, &ret->data, &ret->length);

        if (r == -EFBIG)
                return client_fail("%s: larger than %zu bytes", file, VALUE_MAX);
        return r < 0 ? client_fail("%s: %s", file, strerror(-r)) : 0;
}

int verb_set_secret(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(value_done) Value value = {};
        _cleanup_free_ char *path = NULL;
        int r = secret_find(c, argv[0], &path);

        if (r == 0)
                r = argc > 1 ? read_whole(argv[1], &value) : read_line(argv[0], &value);
        if (r == 0)
                r = client_new_call(c, &m, path, STORAGE1_SECRET, "SetValue");
        if (r != 0)
                return r;
        if (sd_bus_message_sensitive(m) < 0 || sd_bus_message_append_array(m, 'y', value.data, value.length) < 0 ||
            sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0) < 0)
                return client_fail("out of memory");
        return client_send(c, TAKE_PTR(m), NULL);
}

int verb_get_secret(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *path = NULL;
        const void *data;
        size_t length;
        int r = secret_find(c, argv[0], &path);

        if (r == 0)
                r = client_call(c, path, STORAGE1_SECRET, "GetValue", &reply, "ta{sv}", UINT64_C(0), 0);
        if (r != 0)
                return r;
        r = sd_bus_message_read_array(reply, 'y', &data, &length);
        if (r < 0)
                return client_garbled(r);
        r = fd_write_all(STDOUT_FILENO, data, length);
        return r < 0 ? client_fail("standard output can't be written to: %s", strerror(-r)) : 0;
}
