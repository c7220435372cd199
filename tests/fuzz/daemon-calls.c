/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon-calls.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call-values.h"
#include "clock.h"
#include "file.h"
#include "isolate.h"
#include "log.h"
#include "mem.h"
#include "str.h"

#define CALLS_MAX 10u          /* of one input */
#define METHODS_MAX 256u
#define QUIET_USEC 4000u       /* nothing more comes of a call */
#define LAST_USEC 50000u       /* likewise, of all that were not answered */
#define TURNS_MAX 2000u
#define FIRST_USEC (30u * 1000 * 1000)

/* Something that can be called. */
typedef struct Method {
        const BusObject *object;
        const char *member, *signature;
        bool property;               /* is set; `signature` is its type */
        uint16_t key;
} Method;

typedef struct Run {
        const CallsTarget *target;
        Daemon *daemon;
        sd_bus *client;
        unsigned waiting;            /* calls that are not answered */
        const Method *method;
} Run;

static Method methods[METHODS_MAX];
static size_t n_methods;
static char folder[] = "/tmp/virtbus-fuzz-XXXXXX";
static const char *const folders[] = { "config", "data", "run", "log" };

/* --- methods --- */

/* The same for a method whatever others there are, so that inputs keep their meaning. */
static uint16_t key_of(const char *interface, const char *member) {
        uint32_t h = 0x811c9dc5;

        for (const char *p = interface; *p; p++)
                h = (h ^ (uint8_t) *p) * 0x01000193;
        for (const char *p = member; *p; p++)
                h = (h ^ (uint8_t) *p) * 0x01000193;
        return (uint16_t) (h ^ h >> 16);
}

static void add_method(const BusObject *o, const char *member, const char *signature, bool property) {
        if (n_methods == METHODS_MAX)
                abort();
        methods[n_methods++] = (Method) { o, member, signature, property, key_of(o->interface, member) };
}

static void find_methods(const BusObject *const *objects) {
        for (; *objects; objects++)
                for (const sd_bus_vtable *const *table = (*objects)->vtables; *table; table++)
                        for (const sd_bus_vtable *v = *table + 1; v->type != _SD_BUS_VTABLE_END; v++)
                                if (v->type == _SD_BUS_VTABLE_METHOD)
                                        add_method(*objects, v->x.method.member, v->x.method.signature, false);
                                else if (v->type == _SD_BUS_VTABLE_WRITABLE_PROPERTY || v->type == _SD_BUS_VTABLE_PROPERTY)
                                        add_method(*objects, v->x.property.member, v->x.property.signature, true);
}

static const Method *choose_method(uint16_t wanted) {
        const Method *best = NULL;

        for (size_t i = 0; i < n_methods; i++)
                if (!best || (uint16_t) (methods[i].key - wanted) < (uint16_t) (best->key - wanted))
                        best = &methods[i];
        return best;
}

/* --- objects --- */

static char **paths_of(const Run *r, const BusObject *wanted) {
        char **paths = NULL, **good = NULL;
        void *object;

        for (const BusObject *const *o = r->target->spec->objects; wanted->many && !paths && *o; o++)
                if ((*o)->many && (*o)->enumerate && streq((*o)->path, wanted->path) && (*o)->enumerate(&paths, r->daemon) < 0)
                        abort();
        for (char **p = paths; p && *p; p++)
                if (wanted->find(*p, r->daemon, &object) > 0 && strv_push(&good, *p) < 0)
                        abort();
        if (!wanted->many && strv_push(&good, wanted->path) < 0)
                abort();
        strv_free(paths);
        return good;
}

/* --- the daemon --- */

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int type, _unused_ struct FTW *where) {
        return remove(path);
}

static void remove_folder(const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        if (path)
                (void) nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_all(void) {
        (void) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        (void) rmdir(folder);
}

static void make_files(const CallsTarget *t) {
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
                remove_folder(folders[i]);
        for (size_t i = 0; i < ARRAY_SIZE(t->files) && t->files[i].path; i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, t->files[i].path), *parent = strdup(path);

                *strrchr(parent, '/') = '\0';
                if (mkdir_parents(parent, 0700) < 0 || file_write_atomic(path, t->files[i].text, strlen(t->files[i].text), 0600) < 0)
                        abort();
        }
}

static bool set_environment(void) {
        static const struct {
                const char *variable, *name;
        } rows[] = {
                { "XDG_CONFIG_HOME", "config" }, { "XDG_DATA_HOME", "data" }, { "XDG_STATE_HOME", "log" }, { "XDG_RUNTIME_DIR", "run" },
                { "XDG_CACHE_HOME", "cache" }, { "HOME", "home" },
        };

        if (!mkdtemp(folder))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, rows[i].name);

                if (setenv(rows[i].variable, path, 1) < 0)
                        return false;
        }
        (void) setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent", 1);
        (void) setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("LISTEN_FDS");
        (void) unsetenv("INVOCATION_ID");
        return true;
}

static void begin(Run *r) {
        _cleanup_free_ char *address = NULL;
        int error;

        make_files(r->target);
        error = daemon_new(r->target->spec, true, &r->daemon);
        if (error < 0) {
                fprintf(stderr, "the daemon can't be made: %s\n", strerror(-error));
                abort();
        }
        address = strf("unix:path=%s", daemon_socket(r->daemon));
        if (!address || sd_bus_new(&r->client) < 0 || sd_bus_set_address(r->client, address) < 0 || sd_bus_negotiate_fds(r->client, true) < 0 ||
            sd_bus_start(r->client) < 0 || sd_bus_attach_event(r->client, daemon_event(r->daemon), 0) < 0)
                abort();
        /* Who asks a connection for something before it is there waits for it, and nobody would be left to answer. */
        for (unsigned i = 0; i < TURNS_MAX && sd_bus_is_ready(r->client) <= 0; i++)
                (void) sd_event_run(daemon_event(r->daemon), QUIET_USEC);
}

static void end(Run *r) {
        sd_bus_close_unref(r->client);
        daemon_free(r->daemon);
        if (sd_event_default(NULL) > 0) {
                fprintf(stderr, "something that belonged to the daemon is left\n"); /* it holds the loop, which has its signals */
                abort();
        }
}

/* --- calls --- */

/* Those of D-Bus that mean what the caller did, see bus-error.c and sd-bus's own answers. */
static bool is_good_name(const char *name) {
        static const char *const standard[] = {
                SD_BUS_ERROR_INVALID_ARGS, SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_OBJECT,
                SD_BUS_ERROR_UNKNOWN_INTERFACE, SD_BUS_ERROR_UNKNOWN_PROPERTY, SD_BUS_ERROR_PROPERTY_READ_ONLY,
        };

        for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
                if (streq(name, standard[i]))
                        return true;
        return str_after(name, "org.virtbus.Error.");
}

static int on_answer(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Run *r = userdata;

        r->waiting--;
        if (e && (!is_good_name(e->name) || !e->message || !*e->message)) {
                fprintf(stderr, "%s.%s() was answered by %s: %s\n", r->method ? r->method->object->interface : "", r->method ? r->method->member : "",
                        e->name, e->message);
                abort();
        }
        return 0;
}

static void turn(Run *r, unsigned waiting, uint64_t quiet_usec) {
        for (unsigned i = 0; i < TURNS_MAX && r->waiting > waiting; i++)
                if (sd_event_run(daemon_event(r->daemon), quiet_usec) <= 0)
                        break;
}

static int make_call(Run *r, char **paths, Bytes *b, sd_bus_message **ret) {
        const Method *k = r->method;
        const char *path = paths[bytes_take(b) % strv_length(paths)];
        int n;

        if (!k->property) {
                n = sd_bus_message_new_method_call(r->client, ret, NULL, path, k->object->interface, k->member);
                return n < 0 ? n : values_append(*ret, k->signature ?: "", b);
        }
        n = sd_bus_message_new_method_call(r->client, ret, NULL, path, "org.freedesktop.DBus.Properties", bytes_take(b) & 1 ? "Get" : "Set");
        if (n >= 0)
                n = sd_bus_message_append(*ret, "ss", k->object->interface, k->member);
        if (n < 0 || streq(sd_bus_message_get_member(*ret), "Get"))
                return n;
        n = sd_bus_message_open_container(*ret, 'v', k->signature);
        if (n >= 0)
                n = values_append(*ret, k->signature, b);
        return n < 0 ? n : sd_bus_message_close_container(*ret);
}

/* One that is not answered soon may be so while others are made, or waits for something that will not come here. */
static void call(Run *r, Bytes *b) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char **paths;

        r->method = choose_method(bytes_take16(b));
        paths = paths_of(r, r->method->object);
        b->paths = paths;
        if (paths && make_call(r, paths, b, &m) >= 0 && sd_bus_call_async(r->client, NULL, m, on_answer, r, UINT64_MAX) >= 0)
                turn(r, r->waiting++, QUIET_USEC);
        b->paths = NULL;
        strv_free(paths);
}

/* What needs programs is done before they are forbidden, and kept where later daemons look for it. */
static bool prepare(const CallsTarget *t) {
        Run r = { .target = t };
        uint64_t until = now_usec(CLOCK_MONOTONIC) + FIRST_USEC;

        log_set_max_level(-1);
        find_methods(t->spec->objects);
        if (!set_environment())
                return false;
        (void) atexit(remove_all);
        if (!isolate_host(folder))
                return false;
        if (t->first) {
                begin(&r);
                t->first(r.client);
                while (now_usec(CLOCK_MONOTONIC) < until && sd_event_run(daemon_event(r.daemon), 1000000) > 0)
                        ;
                end(&r);
        }
        return isolate_programs();
}

void calls_run(const CallsTarget *target, const uint8_t *data, size_t size) {
        static int prepared = -1;
        Run r = { .target = target };
        Bytes b = { .data = data, .size = size, .words = target->words };

        if (prepared < 0)
                prepared = prepare(target);
        if (!prepared) /* nothing else may go on with what inputs say */
                return;
        begin(&r);
        for (unsigned i = 0; i < CALLS_MAX && b.size > 0; i++)
                call(&r, &b);
        turn(&r, 0, LAST_USEC);
        end(&r);
}
