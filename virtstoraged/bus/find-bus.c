/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "find-bus.h"

#include "../pool/pool.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "mem.h"
#include "service.h"
#include "str.h"
#include "worker.h"

/* Looking for what could become a pool: a process of its own for each call. */

typedef struct Find {
        sd_bus_message *call;
        Worker *worker;
        LIST_ENTRY(Find) link;
} Find;

static void find_free(Find *find) {
        LIST_REMOVE(find, link);
        worker_free(find->worker);
        sd_bus_message_unref(find->call);
        free(find);
}

/* Each is told, and frees itself. */
void finds_clear(Service *s) {
        while (!LIST_EMPTY(&s->finds))
                (void) worker_free(LIST_FIRST(&s->finds)->worker);
}

static int append_text(sd_bus_message *reply, const json_t *source, const char *key) {
        const char *text = json_string_value(json_object_get(source, key));

        return text ? sd_bus_message_append(reply, "{sv}", key, "s", text) : 0;
}

static int append_devices(sd_bus_message *reply, const json_t *source) {
        const json_t *list = json_object_get(source, "devices"), *device;
        size_t i;
        int r;

        if (json_array_size(list) == 0)
                return 0;
        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", "devices");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        json_array_foreach(list, i, device)
                if (r >= 0)
                        r = sd_bus_message_append(reply, "s", json_string_value(device) ?: "");
        for (unsigned depth = 0; depth < 3 && r >= 0; depth++)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int append_source(sd_bus_message *reply, const json_t *source) {
        static const char *const keys[] = { "host", "dir", "name", "format" };
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        for (size_t i = 0; i < ARRAY_SIZE(keys) && r >= 0; i++)
                r = append_text(reply, source, keys[i]);
        if (r >= 0)
                r = append_devices(reply, source);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_sources(sd_bus_message *call, const json_t *sources) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const json_t *source;
        size_t i;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        json_array_foreach(sources, i, source)
                if (r >= 0)
                        r = append_source(reply, source);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void on_found(const json_t *json, _unused_ int fds[WORKER_FDS_MAX], const Fault *why, void *userdata) {
        Find *find = userdata;

        if (why)
                (void) bus_reply_fault(find->call, why, -why->error);
        else
                (void) reply_sources(find->call, json_object_get(json, "sources"));
        find_free(find);
}

static int check(PoolType type, const char *word, const char *host, Fault *f) {
        const PoolOps *ops = pool_ops(type);

        if (!ops || !pool_has_find(ops))
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "sources of pools of type '%.32s' can't be looked for", word);
        if ((ops->needs & ELEMENT_HOST) && !host)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "sources of pools of type '%s' are looked for on a server: give the option \"host\"", word);
        if (host && (*host == '-' || !*host || strpbrk(host, " /,\\\"'\n\t")))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.64s\" is no name or address of a host", host);
        return 0;
}

static int start(Service *s, const char *type, const char *host, uint64_t port, sd_bus_message *m, Fault *f) {
        json_t *request = json_pack("{s:s, s:s, s:s*}", "do", "find", "type", type, "host", host);
        Find *find = new0(Find, 1);
        const WorkerOptions options = {
                .event = daemon_event(s->daemon), .program = "virtstorage-worker", .subject = host && *host ? "the server" : "this host", .kind = FAULT_POOL,
                .deadline_usec = &s->settings.deadline_usec,
        };
        WorkerCall call = { .request = request, .done = on_found, .userdata = find };
        int r;

        if (!find) {
                json_decref(request);
                return fault_oom(f);
        }
        LIST_INSERT_HEAD(&s->finds, find, link);
        if (port > 0)
                (void) json_object_set_new(request, "port", json_integer((json_int_t) port));
        r = worker_new(&options, &find->worker);
        if (r >= 0) {
                find->call = sd_bus_message_ref(m);
                r = worker_ask(find->worker, &call, f);
        } else
                json_decref(request);
        if (r < 0)
                find_free(find);
        return r < 0 ? r : 1;
}

BUS_PUBLIC_HANDLER(method_find_sources, ACTION_MANAGE) {
        const char *type, *host = NULL, *key;
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t port = 0;
        int r;

        r = sd_bus_message_read(m, "s", &type);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0 && streq(key, "host"))
                        r = sd_bus_message_read(m, "v", "s", &host);
                else if (r >= 0 && streq(key, "port"))
                        r = sd_bus_message_read(m, "v", "t", &port);
                else if (r >= 0)
                        r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the options are host (s) and port (t), not \"%.32s\"", key);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (r >= 0 && port > 65535)
                r = fault_set(&f, FAULT_INVALID_ARGS, ERANGE, "a port is a number up to 65535");
        if (r >= 0)
                r = check(pool_type_from_string(type), type, host, &f);
        if (r >= 0)
                r = start(service_of(userdata), type, host, port, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}
