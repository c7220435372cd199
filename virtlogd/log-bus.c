/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <unistd.h>

#include "bus-auth.h"
#include "bus-error.h"
#include "fd.h"
#include "mem.h"
#include "service.h"
#include "str.h"
#include "version.h"

/* org.virtbus.log1.Manager and .Log. */

#define READ_MAX UINT64_C(1048576) /* bytes of one answer */

/* --- arguments --- */

/* UUID and name of a log that must exist. */
static int read_log(sd_bus_message *m, Service *s, Guestlog **ret, Fault *f) {
        const char *name;
        sd_id128_t uuid;
        int r;

        r = bus_read_uuid(m, &uuid, f);
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &name);
        return r < 0 ? r : logs_find(s->logs, uuid, name, ret, f);
}

/* --- methods --- */

static int open_log(sd_bus_message *m, Service *s, int *ret_fd, Fault *f) {
        uint32_t backups = UINT_MAX;
        int journal = true, r;
        GuestlogSpec spec = {};
        uint64_t flags;
        const BusOption options[] = {
                { "max-size", 't', &spec.limits.size }, { "max-backups", 'u', &backups }, { "journal", 'b', &journal },
                { "unit", 's', &spec.unit },
        };

        r = bus_read_uuid(m, &spec.uuid, f);
        if (r >= 0)
                r = sd_bus_message_read(m, "ss", &spec.domain, &spec.name);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), f);
        if (r < 0)
                return r;
        if (backups != UINT_MAX && backups > LOGFILE_BACKUPS_MAX)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "max-backups is %u, at most %u are kept", backups, LOGFILE_BACKUPS_MAX);
        if (spec.limits.size != 0 && spec.limits.size < LOGFILE_SIZE_MIN)
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "max-size is less than %u bytes", LOGFILE_SIZE_MIN);
        spec.limits.backups = backups;
        spec.journal = journal;
        return logs_open(s->logs, &spec, ret_fd, f);
}

BUS_HANDLER(method_open, ACTION_WRITE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_fd_ int fd = -1;
        int r;

        r = open_log(m, service_of(userdata), &fd, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "h", fd);
}

static int append_log(sd_bus_message *reply, const Guestlog *g) {
        const GuestlogSpec *spec = guestlog_spec(g);
        _cleanup_free_ char *path = NULL;
        int r;

        r = sd_bus_path_encode(LOG1_ROOT "/log", guestlog_key(g), &path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'r', "ayssto");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', &spec->uuid, sizeof(spec->uuid));
        if (r >= 0)
                r = sd_bus_message_append(reply, "ssto", spec->domain, spec->name, guestlog_end(g) - guestlog_first(g), path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Everybody sees them as objects. */
BUS_HANDLER(method_list, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Service *s = service_of(userdata);
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ayssto)");
        for (Guestlog *g = logs_next(s->logs, NULL); g && r >= 0; g = logs_next(s->logs, g))
                r = append_log(reply, g);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_read, ACTION_READ) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *data = NULL;
        uint64_t at, max;
        size_t length;
        Guestlog *g;
        int r;

        r = read_log(m, service_of(userdata), &g, &f);
        if (r >= 0)
                r = sd_bus_message_read(m, "tt", &at, &max);
        if (r >= 0)
                r = guestlog_read(g, &at, (size_t) MIN(max, READ_MAX), &data, &length, &f);
        if (r < 0)
                return fault_to_bus(&f, r, error);
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', data, length);
        if (r >= 0)
                r = sd_bus_message_append(reply, "t", at + length);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_follow, ACTION_READ) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags, tail = 0;
        const BusOption options[] = { { "tail", 't', &tail } };
        _cleanup_fd_ int fd = -1;
        Guestlog *g;
        int r;

        r = read_log(m, service_of(userdata), &g, &f);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = guestlog_follow(g, tail, &fd, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "h", fd);
}

BUS_HANDLER(method_rotate, ACTION_WRITE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        Guestlog *g;
        int r;

        r = read_log(m, service_of(userdata), &g, &f);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = guestlog_rotate(g, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

BUS_GETTER(get_version) {
        return sd_bus_message_append(reply, "s", VIRTBUS_VERSION);
}

BUS_GETTER(get_default_size) {
        return sd_bus_message_append(reply, "t", service_of(userdata)->settings.max_size);
}

BUS_GETTER(get_default_backups) {
        return sd_bus_message_append(reply, "u", (uint32_t) service_of(userdata)->settings.max_backups);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("MaxSize", "t", get_default_size, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MaxBackups", "u", get_default_backups, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_NAMES("OpenLog", "aysst" "a{sv}",
                                 SD_BUS_PARAM(uuid) SD_BUS_PARAM(domain) SD_BUS_PARAM(name) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "h", SD_BUS_PARAM(pipe), method_open, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListLogs", NULL,, "a(ayssto)", SD_BUS_PARAM(logs), method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Read", "aystt",
                                 SD_BUS_PARAM(uuid) SD_BUS_PARAM(name) SD_BUS_PARAM(offset) SD_BUS_PARAM(max),
                                 "ayt", SD_BUS_PARAM(data) SD_BUS_PARAM(next), method_read, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Follow", "ayst" "a{sv}",
                                 SD_BUS_PARAM(uuid) SD_BUS_PARAM(name) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "h", SD_BUS_PARAM(stream), method_follow, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Rotate", "ayst" "a{sv}",
                                 SD_BUS_PARAM(uuid) SD_BUS_PARAM(name) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 NULL,, method_rotate, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

/* --- one log --- */

BUS_GETTER(get_uuid) {
        return sd_bus_message_append_array(reply, 'y', &guestlog_spec(userdata)->uuid, sizeof(sd_id128_t));
}

BUS_GETTER(get_domain) {
        return sd_bus_message_append(reply, "s", guestlog_spec(userdata)->domain);
}

BUS_GETTER(get_name) {
        return sd_bus_message_append(reply, "s", guestlog_spec(userdata)->name);
}

BUS_GETTER(get_state) {
        return sd_bus_message_append(reply, "s", guestlog_state_to_string(guestlog_state(userdata)));
}

BUS_GETTER(get_path) {
        return sd_bus_message_append(reply, "s", guestlog_path(userdata));
}

BUS_GETTER(get_first) {
        return sd_bus_message_append(reply, "t", guestlog_first(userdata));
}

BUS_GETTER(get_end) {
        return sd_bus_message_append(reply, "t", guestlog_end(userdata));
}

BUS_GETTER(get_dropped) {
        return sd_bus_message_append(reply, "t", guestlog_dropped(userdata));
}

BUS_GETTER(get_size) {
        return sd_bus_message_append(reply, "t", guestlog_spec(userdata)->limits.size);
}

BUS_GETTER(get_backups) {
        return sd_bus_message_append(reply, "u", (uint32_t) guestlog_spec(userdata)->limits.backups);
}

static const sd_bus_vtable log_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("UUID", "ay", get_uuid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Domain", "s", get_domain, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Path", "s", get_path, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("First", "t", get_first, 0, 0),
        SD_BUS_PROPERTY("End", "t", get_end, 0, 0),
        SD_BUS_PROPERTY("BytesDropped", "t", get_dropped, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MaxSize", "t", get_size, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MaxBackups", "u", get_backups, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END
};

static int log_find(const char *path, void *userdata, void **ret) {
        Service *s = service_of(userdata);
        _cleanup_free_ char *key = NULL;

        if (!s || !s->logs || sd_bus_path_decode(path, LOG1_ROOT "/log", &key) <= 0)
                return 0;
        *ret = logs_find_key(s->logs, key);
        return *ret != NULL;
}

static int log_enumerate(char ***ret, void *userdata) {
        _cleanup_strv_ char **paths = new0(char *, 1);
        Service *s = service_of(userdata);
        size_t n = 0;

        if (!paths)
                return -ENOMEM;
        for (Guestlog *g = s && s->logs ? logs_next(s->logs, NULL) : NULL; g; g = logs_next(s->logs, g)) {
                _cleanup_free_ char *path = NULL;

                if (sd_bus_path_encode(LOG1_ROOT "/log", guestlog_key(g), &path) < 0 || strv_push_nth(&paths, &n, path) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(paths);
        return 0;
}

static int log_details(void *object, sd_bus_message *call) {
        return sd_bus_message_append(call, "{ss}{ss}", "domain", guestlog_spec(object)->domain, "log", guestlog_spec(object)->name);
}

static const sd_bus_vtable *const manager_vtables[] = { manager_vtable, NULL };
static const sd_bus_vtable *const log_vtables[] = { log_vtable, NULL };
static const BusObject manager_object = { .path = LOG1_ROOT, .interface = LOG1_MANAGER, .vtables = manager_vtables };
static const BusObject log_object = {
        .path = LOG1_ROOT "/log", .many = true, .interface = LOG1_LOG, .vtables = log_vtables, .find = log_find,
        .enumerate = log_enumerate, .details = log_details,
};
const BusObject *const service_objects[] = { &manager_object, &log_object, NULL };
