/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "mem.h"
#include "rows.h"
#include "show.h"
#include "str.h"
#include "value-input.h"
#include "values.h"
#include "verbs.h"

/* What the agent in a guest says and does. */

#define GUEST QEMU1 ".Guest"
#define EXEC_TIMEOUT_USEC (UINT64_C(3600) * 1000 * 1000)
#define COPY_STEP ((size_t) 64 * 1024)

/* A method that takes nothing but flags and options; its answer as JSON. */
static int ask(Client *c, const char *domain, const char *method, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, domain, GUEST, method, &reply, "ta{sv}", UINT64_C(0), 0);

        if (r == 0 && ret)
                *ret = value_to_json(reply);
        return r;
}

/* --- guest-info --- */

static int get_properties(Client *c, const char *domain, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = client_call(c, domain, "org.freedesktop.DBus.Properties", "GetAll", &reply, "s", GUEST);

        if (r == 0)
                *ret = value_to_json(reply);
        return r;
}

static void print_filesystems(const json_t *list) {
        const json_t *row;
        size_t i;

        json_array_foreach(list, i, row) {
                char used[32], all[32];

                format_size(show_number(row, "used"), used, sizeof(used));
                format_size(show_number(row, "size"), all, sizeof(all));
                print_line(i == 0 ? "File systems" : "", "%s (%s, %s of %s)", show_text(row, "folder"), show_text(row, "type"), used, all);
        }
}

static void print_users(const json_t *list) {
        const json_t *row;
        size_t i;

        json_array_foreach(list, i, row)
                print_line(i == 0 ? "Users" : "", "%s", show_text(row, "user"));
}

static void print_interfaces(const json_t *list) {
        const json_t *row, *address;
        size_t i, k, n = 0;

        json_array_foreach(list, i, row)
                json_array_foreach(json_object_get(row, "addresses"), k, address)
                        print_line(n++ == 0 ? "Addresses" : "", "%s/%" PRIu64 " on %s", show_text(address, "address"), show_number(address, "prefix"),
                                   show_text(row, "name"));
}

static json_t *with_addresses(json_t *interfaces) {
        static const char *const keys[] = { "address", "prefix" };
        json_t *row;
        size_t i;

        json_array_foreach(interfaces, i, row)
                if (json_object_get(row, "addresses"))
                        (void) json_object_set_new(row, "addresses", rows_with_keys(json_object_get(row, "addresses"), keys, ARRAY_SIZE(keys)));
        return interfaces;
}

typedef struct List {
        const char *method, *name, *keys[6];
        void (*print)(const json_t *list);
} List;

static int read_list(Client *c, const char *domain, const List *list, json_t **ret) {
        json_auto_t *rows = NULL;
        size_t n = 0;
        int r = ask(c, domain, list->method, &rows);

        while (n < ARRAY_SIZE(list->keys) && list->keys[n])
                n++;
        if (r == 0)
                *ret = with_addresses(rows_with_keys(rows, list->keys, n));
        return r;
}

static void print_agent(const json_t *all, const char *state) {
        print_line("Agent", "%s %s", state, show_text(all, "AgentVersion"));
        print_line("Hostname", "%s", show_text(all, "Hostname"));
        print_line("System", "%s", show_text(json_object_get(all, "OS"), "pretty-name"));
}

int verb_guest_info(Client *c, int argc, char **argv) {
        static const List lists[] = {
                { "GetFilesystems", "Filesystems", { "name", "folder", "type", "size", "used", "disks" }, print_filesystems },
                { "GetUsers", "Users", { "user", "domain", "since" }, print_users },
                { "GetInterfaces", "Interfaces", { "name", "mac", "addresses" }, print_interfaces },
        };
        _cleanup_free_ char *domain = NULL;
        json_auto_t *all = NULL;
        const char *state;
        int r = client_domain(c, argv[0], &domain) ?: get_properties(c, domain, &all);

        if (r != 0)
                return r;
        state = show_text(all, "AgentState");
        if (c->json == JSON_OFF)
                print_agent(all, state);
        for (size_t i = 0; i < ARRAY_SIZE(lists) && streq(state, "connected") && r == 0; i++) {
                json_t *list = NULL;

                r = read_list(c, domain, &lists[i], &list);
                if (r == 0 && c->json == JSON_OFF)
                        lists[i].print(list);
                (void) json_object_set_new(all, lists[i].name, list ?: json_null());
        }
        return r != 0 || c->json == JSON_OFF ? r : print_json(c, json_incref(all));
}

/* --- programs --- */

static int read_end(sd_bus_message *reply) {
        const void *output, *errors;
        size_t n_output, n_errors;
        int code, sig, truncated;
        int r = sd_bus_message_read(reply, "ii", &code, &sig);

        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &output, &n_output);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &errors, &n_errors);
        if (r >= 0)
                r = sd_bus_message_read(reply, "b", &truncated);
        if (r < 0)
                return client_garbled(r);
        if (fd_write_all(STDOUT_FILENO, output, n_output) < 0 || fd_write_all(STDERR_FILENO, errors, n_errors) < 0)
                return client_fail("the output can't be written: %s", strerror(errno));
        if (truncated)
                (void) client_fail("there was more output than the agent keeps");
        return sig > 0 ? 128 + sig : code & 255;
}

/* The exit status is the program's. */
int verb_exec(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        int r = client_domain(c, argv[0], &domain) ?: client_new_call(c, &m, domain, GUEST, "Exec");

        if (r != 0)
                return r;
        r = sd_bus_message_append(m, "s", argv[1]);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, argv + 2);
        if (r >= 0)
                r = sd_bus_message_append(m, "asay" "ta{sv}", 0, 0, UINT64_C(0), 1, "timeout", "t", EXEC_TIMEOUT_USEC);
        if (r < 0)
                return client_garbled(r);
        r = client_send(c, TAKE_PTR(m), &reply);
        return r != 0 ? r : read_end(reply);
}

/* --- files --- */

static int copy(int from, int to, const char *name) {
        char buffer[COPY_STEP];
        ssize_t n;

        while ((n = read(from, buffer, sizeof(buffer))) > 0)
                if (fd_write_all(to, buffer, (size_t) n) < 0)
                        return client_fail("%s: %s", name, strerror(errno));
        return n < 0 ? client_fail("%s: %s", name, strerror(errno)) : 0;
}

/* The pipe of an answer, and its job. The answer, which has the pipe, is taken: with it the pipe ends. */
static int take_pipe(sd_bus_message *reply, int *ret_fd, char **ret_job) {
        const char *job;
        int fd, r = sd_bus_message_read(reply, "ho", &fd, &job);

        if (r >= 0)
                r = *ret_fd = fd_copy(fd);
        if (r >= 0)
                r = free_and_strdup(ret_job, job);
        sd_bus_message_unref(reply);
        return r < 0 ? client_garbled(r) : 0;
}

/* What went wrong in the guest is the cause of what went wrong with the pipe. */
static int end_copy(Client *c, int r, int *pipe, const char *job) {
        int status;

        *pipe = fd_close(*pipe);
        status = client_wait_job(c, job);
        return status ?: r;
}

int verb_copy_from(Client *c, int argc, char **argv) {
        _cleanup_fd_ int file = -1, from = -1;
        _cleanup_free_ char *domain = NULL, *job = NULL;
        sd_bus_message *reply = NULL;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "ReadFile", &reply, "sta{sv}", argv[1], UINT64_C(0), 0) ?:
                take_pipe(reply, &from, &job);

        if (r != 0)
                return r;
        file = streq(argv[2], "-") ? fd_copy(STDOUT_FILENO) : open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        r = file < 0 ? client_fail("%s: %s", argv[2], strerror(errno)) : copy(from, file, argv[2]);
        return end_copy(c, r, &from, job);
}

int verb_copy_to(Client *c, int argc, char **argv) {
        _cleanup_fd_ int file = streq(argv[1], "-") ? fd_copy(STDIN_FILENO) : open(argv[1], O_RDONLY | O_CLOEXEC), to = -1;
        _cleanup_free_ char *domain = NULL, *job = NULL;
        sd_bus_message *reply = NULL;
        int r;

        if (file < 0)
                return client_fail("%s: %s", argv[1], strerror(errno));
        r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "WriteFile", &reply, "sbta{sv}", argv[2], 0, UINT64_C(0), 0) ?:
            take_pipe(reply, &to, &job);
        if (r != 0)
                return r;
        r = copy(file, to, argv[1]);
        return end_copy(c, r, &to, job);
}

/* --- the rest --- */

static int print_count(Client *c, sd_bus_message *reply, const char *what) {
        uint32_t n;
        int r = sd_bus_message_read(reply, "u", &n);

        if (r < 0)
                return client_garbled(r);
        if (!c->quiet)
                printf("%u %s%s\n", n, what, n == 1 ? "" : "s");
        return 0;
}

int verb_freeze(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        int r = client_domain(c, argv[0], &domain) ?: client_new_call(c, &m, domain, GUEST, "FreezeFilesystems");

        if (r != 0)
                return r;
        r = sd_bus_message_append_strv(m, argv + 1);
        if (r >= 0)
                r = sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0);
        if (r < 0)
                return client_garbled(r);
        r = client_send(c, TAKE_PTR(m), &reply);
        return r != 0 ? r : print_count(c, reply, "file system");
}

int verb_thaw(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "ThawFilesystems", &reply, "ta{sv}", UINT64_C(0), 0);

        return r != 0 ? r : print_count(c, reply, "file system");
}

int verb_trim(Client *c, int argc, char **argv) {
        static const char *const keys[] = { "folder", "trimmed", "error" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        json_auto_t *rows = NULL, *list = NULL;
        _cleanup_free_ char *domain = NULL;
        const json_t *row;
        size_t i;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "TrimFilesystems", &reply, "tta{sv}", UINT64_C(0), UINT64_C(0), 0);

        if (r != 0)
                return r;
        rows = value_to_json(reply);
        list = rows_with_keys(rows, keys, ARRAY_SIZE(keys));
        if (c->json != JSON_OFF)
                return print_json(c, json_incref(list));
        json_array_foreach(list, i, row) {
                char bytes[32];

                format_size(show_number(row, "trimmed"), bytes, sizeof(bytes));
                printf("%s: %s\n", show_text(row, "folder"), *show_text(row, "error") ? show_text(row, "error") : bytes);
        }
        return 0;
}

int verb_set_password(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *domain = NULL, *what = strf("Password of %s in %s", argv[1], argv[0]);
        _cleanup_value_input_ ValueInput value = {};
        int r = client_domain(c, argv[0], &domain) ?: value_input_read(what ?: "", argc > 2 ? argv[2] : NULL, &value) ?:
                client_new_call(c, &m, domain, GUEST, "SetPassword");

        if (r != 0)
                return r;
        if (memchr(value.data, '\0', value.length))
                return client_fail("a password has no NUL bytes");
        value.data[value.length] = '\0'; /* where the end of its line was, or there is one */
        if (sd_bus_message_sensitive(m) < 0 || sd_bus_message_append(m, "ssbta{sv}", argv[1], value.data, 0, UINT64_C(0), 0) < 0)
                return client_fail("out of memory");
        return client_send(c, TAKE_PTR(m), NULL);
}

int verb_sync_time(Client *c, int argc, char **argv) {
        _cleanup_free_ char *domain = NULL;

        return client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "SetTime", NULL, "tta{sv}", UINT64_C(0), UINT64_C(0), 0);
}

int verb_agent(Client *c, int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *domain = NULL;
        const char *text;
        int r = client_domain(c, argv[0], &domain) ?: client_call(c, domain, GUEST, "Command", &reply, "sta{sv}", argv[1], UINT64_C(0), 0);

        if (r != 0)
                return r;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return client_garbled(r);
        printf("%s\n", text);
        return 0;
}
