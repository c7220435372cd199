/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include <time.h>

#include "bus-auth.h"
#include "bus-error.h"
#include "clock.h"
#include "fd.h"
#include "mem.h"
#include "service.h"
#include "str.h"
#include "version.h"

/* org.virtbus.lock1.Manager and .Lockspace. */

/* --- leases --- */

/* What both kinds of giving are asked with, after lockspace, resource and, for a transfer, the lease. Strings are the message's. */
static int read_lease(sd_bus_message *m, Lease *ret, Fault *f) {
        const char *name, *mode, *unit = NULL, *description = NULL;
        const BusOption options[] = { { "unit", 's', &unit }, { "pid", 'u', &ret->pid }, { "description", 's', &description } };
        uint64_t flags;
        int r;

        r = bus_read_uuid(m, &ret->uuid, f);
        if (r >= 0)
                r = sd_bus_message_read(m, "ss", &name, &mode);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), f);
        if (r < 0)
                return r;
        ret->mode = lease_mode_from_string(mode);
        if (ret->mode < 0)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "the mode \"%.20s\" is neither exclusive nor shared", mode);
        ret->since_usec = now_usec(CLOCK_REALTIME);
        if (free_and_strdup(&ret->name, name) < 0 || free_and_strdup(&ret->unit, is_empty(unit) ? NULL : unit) < 0 ||
            free_and_strdup(&ret->description, is_empty(description) ? NULL : description) < 0)
                return fault_oom(f);
        return lease_check(ret, f);
}

static int read_target(sd_bus_message *m, Service *s, Lockspace **ret, const char **ret_resource, Fault *f) {
        const char *name;
        int r;

        r = sd_bus_message_read(m, "ss", &name, ret_resource);
        return r < 0 ? r : lockspaces_find(s->lockspaces, name, ret, f);
}

/* A client that has gone meanwhile gets none: the last copy is closed with the message, and the lease with it. */
static void on_given(int *fd, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, "h", *fd);
}

BUS_HANDLER(method_acquire, ACTION_ACQUIRE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_lease_ Lease lease = {};
        const char *resource;
        Lockspace *l;
        int r;

        r = read_target(m, service_of(userdata), &l, &resource, &f);
        if (r >= 0)
                r = read_lease(m, &lease, &f);
        if (r >= 0)
                r = lockspace_acquire(l, resource, &lease, on_given, m, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        sd_bus_message_ref(m);
        return 1;
}

BUS_HANDLER(method_transfer, ACTION_ACQUIRE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_lease_ Lease lease = {};
        const char *resource;
        Lockspace *l;
        int fd, r;

        r = read_target(m, service_of(userdata), &l, &resource, &f);
        if (r >= 0)
                r = sd_bus_message_read(m, "h", &fd);
        if (r >= 0)
                r = read_lease(m, &lease, &f);
        if (r >= 0)
                r = lockspace_transfer(l, resource, &lease, fd, on_given, m, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        sd_bus_message_ref(m);
        return 1;
}

/* --- listing --- */

#define LISTED "ssssaysssut"

typedef struct ListCall {
        sd_bus_message *call, *reply;
        unsigned n_pending;
        bool one;                /* of a lockspace that was named */
        int error;
        Fault why;
} ListCall;

static int append_listed(sd_bus_message *reply, const Lockspace *l, const char *resource, const Lease *lease) {
        int r = sd_bus_message_open_container(reply, 'r', LISTED);

        if (r >= 0)
                r = sd_bus_message_append(reply, "ssss", lockspace_name(l), resource, lease->description ?: "",
                                          lease_mode_to_string(lease->mode));
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', &lease->uuid, sizeof(lease->uuid));
        if (r >= 0)
                r = sd_bus_message_append(reply, "sssut", lease->name, lease->unit ?: "", lease->host ?: "", lease->pid, lease->since_usec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void on_lease(const Lockspace *l, const char *resource, const Lease *lease, void *userdata) {
        ListCall *c = userdata;

        if (c->error >= 0)
                c->error = append_listed(c->reply, l, resource, lease);
}

static void list_done(ListCall *c) {
        int r = c->error;

        if (c->one && fault_is_set(&c->why))
                (void) bus_reply_fault(c->call, &c->why, -c->why.error);
        else {
                if (r >= 0)
                        r = sd_bus_message_close_container(c->reply);
                if (r >= 0)
                        r = sd_bus_send(NULL, c->reply, NULL);
                if (r < 0)
                        (void) sd_bus_reply_method_errno(c->call, r, NULL);
        }
        sd_bus_message_unref(c->call);
        sd_bus_message_unref(c->reply);
        fault_clear(&c->why);
        free(c);
}

static void on_listed(Lockspace *l, const Fault *why, void *userdata) {
        ListCall *c = userdata;

        if (why && !fault_is_set(&c->why))
                (void) fault_copy(&c->why, why);
        if (--c->n_pending == 0)
                list_done(c);
}

static int list_lockspaces(Service *s, Lockspace *only, ListCall *c) {
        for (Lockspace *l = only ?: lockspaces_next(s->lockspaces, NULL); l; l = only ? NULL : lockspaces_next(s->lockspaces, l)) {
                int r = lockspace_list(l, on_lease, on_listed, c, &c->why);

                if (r < 0)
                        return r;
                c->n_pending++;
        }
        return 0;
}

BUS_HANDLER(method_list, ACTION_READ) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Service *s = service_of(userdata);
        Lockspace *only = NULL;
        const char *name;
        ListCall *c;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0 && *name)
                r = lockspaces_find(s->lockspaces, name, &only, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        c = new0(ListCall, 1);
        if (!c)
                return -ENOMEM;
        c->one = only;
        c->call = sd_bus_message_ref(m);
        c->n_pending = 1; /* until all are asked */
        c->error = sd_bus_message_new_method_return(m, &c->reply);
        if (c->error >= 0)
                c->error = sd_bus_message_open_container(c->reply, 'a', "(" LISTED ")");
        if (c->error >= 0)
                (void) list_lockspaces(s, only, c);
        on_listed(NULL, NULL, c);
        return 1;
}

/* --- lockspaces --- */

static void on_lockspace_added(Lockspace *l, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;
        _cleanup_free_ char *path = l ? lockspace_object(l) : NULL;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, "o", path);
}

BUS_HANDLER(method_add, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *name, *path;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "ss", &name, &path);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = lockspaces_add(service_of(userdata)->lockspaces, name, path, on_lockspace_added, m, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        sd_bus_message_ref(m);
        return 1;
}

/* Everybody sees them as objects. */
BUS_HANDLER(method_get, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *path = NULL;
        const char *name;
        Lockspace *l;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = lockspaces_find(service_of(userdata)->lockspaces, name, &l, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        path = lockspace_object(l);
        return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

BUS_HANDLER(method_list_lockspaces, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Service *s = service_of(userdata);
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssso)");
        for (Lockspace *l = lockspaces_next(s->lockspaces, NULL); l && r >= 0; l = lockspaces_next(s->lockspaces, l)) {
                _cleanup_free_ char *path = lockspace_object(l);

                r = path ? sd_bus_message_append(reply, "(ssso)", lockspace_name(l), lockspace_path(l),
                                                 lockspace_state_to_string(lockspace_state(l)), path) : -ENOMEM;
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* The bus looks the object up anew for each call, so that it is there. */
BUS_HANDLER(method_remove, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Lockspace *l = userdata;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = lockspaces_remove(l, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

/* --- properties --- */

BUS_GETTER(get_version) {
        return sd_bus_message_append(reply, "s", VIRTBUS_VERSION);
}

BUS_GETTER(get_name) {
        return sd_bus_message_append(reply, "s", lockspace_name(userdata));
}

BUS_GETTER(get_path) {
        return sd_bus_message_append(reply, "s", lockspace_path(userdata));
}

BUS_GETTER(get_state) {
        return sd_bus_message_append(reply, "s", lockspace_state_to_string(lockspace_state(userdata)));
}

BUS_GETTER(get_error) {
        return sd_bus_message_append(reply, "s", lockspace_error(userdata));
}

BUS_GETTER(get_leases) {
        return sd_bus_message_append(reply, "u", (uint32_t) lockspace_leases(userdata));
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_NAMES("Acquire", "ssayss" "ta{sv}",
                                 SD_BUS_PARAM(lockspace) SD_BUS_PARAM(resource) SD_BUS_PARAM(uuid) SD_BUS_PARAM(name) SD_BUS_PARAM(mode)
                                 SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "h", SD_BUS_PARAM(lease), method_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Transfer", "sshayss" "ta{sv}",
                                 SD_BUS_PARAM(lockspace) SD_BUS_PARAM(resource) SD_BUS_PARAM(lease) SD_BUS_PARAM(uuid) SD_BUS_PARAM(name)
                                 SD_BUS_PARAM(mode) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "h", SD_BUS_PARAM(lease), method_transfer, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListLeases", "s", SD_BUS_PARAM(lockspace), "a(" LISTED ")", SD_BUS_PARAM(leases), method_list,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AddLockspace", "sst" "a{sv}",
                                 SD_BUS_PARAM(name) SD_BUS_PARAM(path) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "o", SD_BUS_PARAM(lockspace), method_add, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetLockspace", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(lockspace), method_get,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListLockspaces", NULL,, "a(ssso)", SD_BUS_PARAM(lockspaces), method_list_lockspaces,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("LockspaceNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(lockspace), 0),
        SD_BUS_SIGNAL_WITH_NAMES("LockspaceRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(lockspace), 0),
        SD_BUS_SIGNAL_WITH_NAMES("LeaseLost", "ssayss",
                                 SD_BUS_PARAM(lockspace) SD_BUS_PARAM(resource) SD_BUS_PARAM(uuid) SD_BUS_PARAM(name)
                                 SD_BUS_PARAM(description), 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable lockspace_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Path", "s", get_path, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Error", "s", get_error, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Leases", "u", get_leases, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_NAMES("Remove", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_remove,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static int object_find(const char *path, void *userdata, void **ret) {
        Service *s = service_of(userdata);
        _cleanup_free_ char *name = NULL;

        if (!s || !s->lockspaces || sd_bus_path_decode(path, LOCK1_ROOT "/lockspace", &name) <= 0)
                return 0;
        *ret = lockspaces_peek(s->lockspaces, name);
        return *ret != NULL;
}

static int object_enumerate(char ***ret, void *userdata) {
        _cleanup_strv_ char **paths = new0(char *, 1);
        Service *s = service_of(userdata);

        if (!paths)
                return -ENOMEM;
        for (Lockspace *l = s && s->lockspaces ? lockspaces_next(s->lockspaces, NULL) : NULL; l; l = lockspaces_next(s->lockspaces, l))
                if (strv_take(&paths, lockspace_object(l)) < 0)
                        return -ENOMEM;
        *ret = TAKE_PTR(paths);
        return 0;
}

static int object_details(void *object, sd_bus_message *call) {
        return sd_bus_message_append(call, "{ss}", "lockspace", lockspace_name(object));
}

static const sd_bus_vtable *const manager_vtables[] = { manager_vtable, NULL };
static const sd_bus_vtable *const lockspace_vtables[] = { lockspace_vtable, NULL };
static const BusObject manager_object = { .path = LOCK1_ROOT, .interface = LOCK1_MANAGER, .vtables = manager_vtables };
static const BusObject lockspace_object_row = {
        .path = LOCK1_ROOT "/lockspace", .many = true, .interface = LOCK1_LOCKSPACE, .vtables = lockspace_vtables, .find = object_find,
        .enumerate = object_enumerate, .details = object_details,
};
const BusObject *const service_objects[] = { &manager_object, &lockspace_object_row, NULL };
