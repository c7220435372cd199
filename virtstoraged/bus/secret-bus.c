/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "secret-bus.h"

#include <stdio.h>
#include <string.h>

#include "../plan/storage.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

/* org.virtbus.storage1.Secret, and what the Manager knows of secrets. */

static const char *secret_path(const Secret *s, char buffer[static SECRET_PATH_MAX]) {
        char hex[SD_ID128_STRING_MAX];

        (void) snprintf(buffer, SECRET_PATH_MAX, STORAGE1_ROOT "/secret/%s", sd_id128_to_string(s->uuid, hex));
        return buffer;
}

/* --- news --- */

static void on_added(Secret *s, void *userdata) {
        char path[SECRET_PATH_MAX];

        bus_added(((Service *) userdata)->bus, secret_path(s, path));
}

static void on_removed(Secret *s, void *userdata) {
        char path[SECRET_PATH_MAX];

        bus_removed(((Service *) userdata)->bus, secret_path(s, path));
}

static void on_changed(Secret *s, void *userdata) {
        static const char *const properties[] = { "UsageType", "UsageID", "Description", "Private", "HasValue" };
        char path[SECRET_PATH_MAX];

        if (((Service *) userdata)->pools)
                pools_busy_changed(((Service *) userdata)->pools);
        (void) secret_path(s, path);
        for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
                bus_changed(((Service *) userdata)->bus, path, STORAGE1_SECRET, properties[i]);
}

const SecretsWatch secret_bus_watch = { on_added, on_removed, on_changed };

/* --- the Manager's --- */

static int reply_path(sd_bus_message *m, const Secret *s) {
        char path[SECRET_PATH_MAX];

        return sd_bus_reply_method_return(m, "o", s ? secret_path(s, path) : "/");
}

BUS_PUBLIC_HANDLER(method_define_secret, ACTION_SECRETS) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *text;
        uint64_t flags;
        Secret *s;
        int r;

        r = bus_read_definition(m, &text, &f);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_VALIDATE_ONLY, &flags, NULL, 0, &f);
        if (r >= 0)
                r = secrets_define(service_of(userdata)->secrets, text, strlen(text), flags & BUS_FLAG_VALIDATE_ONLY, &s, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : reply_path(m, s);
}

BUS_PUBLIC_HANDLER(method_get_secret, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *uuid;
        Secret *s;
        int r;

        r = sd_bus_message_read(m, "s", &uuid);
        if (r >= 0)
                r = secrets_find(service_of(userdata)->secrets, uuid, &s, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : reply_path(m, s);
}

BUS_PUBLIC_HANDLER(method_get_secret_by_usage, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *type, *id;
        Secret *s;
        int r;

        r = sd_bus_message_read(m, "ss", &type, &id);
        if (r >= 0)
                r = secrets_find_usage(service_of(userdata)->secrets, secret_usage_from_string(type), id, &s, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : reply_path(m, s);
}

static int append_secret(sd_bus_message *reply, const Secret *s) {
        char path[SECRET_PATH_MAX];
        int r = sd_bus_message_open_container(reply, 'r', "ayssbo");

        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', &s->uuid, sizeof(s->uuid));
        if (r >= 0)
                r = sd_bus_message_append(reply, "ssbo", secret_usage_to_string(s->def->usage) ?: "", secret_usage_id(s->def) ?: "", (int) secret_has_value(s),
                                          secret_path(s, path));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_PUBLIC_HANDLER(method_list_secrets, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ayssbo)");
        REGISTRY_FOREACH(Secret, s, service_of(userdata)->secrets->registry)
                if (r >= 0)
                        r = append_secret(reply, s);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* --- for daemons that hand a value on, as virtqemud does to QEMU --- */

typedef struct OpenSecret {
        Service *service;
        sd_id128_t uuid;             /* it may go meanwhile */
        sd_bus_message *call;
} OpenSecret;

static OpenSecret *open_secret_free(OpenSecret *o) {
        if (o)
                sd_bus_message_unref(o->call);
        free(o);
        return NULL;
}
DEFINE_CLEANUP(OpenSecret *, open_secret_free)

static void on_opened(int *fd, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, "h", *fd);
}

static int open_value(Secret *s, sd_bus_message *m, Fault *f) {
        int r = secret_get_value(s, on_opened, sd_bus_message_ref(m), f);

        if (r < 0)
                sd_bus_message_unref(m);
        return r;
}

/* A private value goes to virtqemud alone: only a daemon may own that name. */
static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        _cleanup_(open_secret_freep) OpenSecret *o = userdata;
        const char *owner = "", *sender = sd_bus_message_get_sender(o->call);
        char uuid[SD_ID128_STRING_MAX];
        _cleanup_fault_ Fault f = FAULT_INIT;
        Secret *s;
        int r;

        r = sd_bus_message_is_method_error(reply, NULL) ? -EPERM : sd_bus_message_read(reply, "s", &owner);
        if (r < 0 || !sender || !streq(owner, sender))
                r = fault_set(&f, FAULT_ACCESS_DENIED, EPERM, "the secret is private: its value is given to VMs only");
        if (r >= 0)
                r = secrets_find(o->service->secrets, sd_id128_to_string(o->uuid, uuid), &s, &f);
        if (r >= 0)
                r = open_value(s, o->call, &f);
        if (r < 0)
                (void) bus_reply_fault(o->call, &f, r);
        return 0;
}

static int ask_owner(Service *service, const Secret *s, sd_bus_message *m) {
        _cleanup_(open_secret_freep) OpenSecret *o = new0(OpenSecret, 1);
        int r;

        if (!o)
                return -ENOMEM;
        *o = (OpenSecret) { .service = service, .uuid = s->uuid, .call = sd_bus_message_ref(m) };
        r = sd_bus_call_method_async(sd_bus_message_get_bus(m), NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner",
                                     on_owner, o, "s", "org.virtbus.qemu1");
        if (r >= 0)
                TAKE_PTR(o);
        return r;
}

BUS_PUBLIC_HANDLER(method_open_secret, ACTION_SECRETS) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *uuid, *type, *id;
        Service *service = service_of(userdata);
        uint64_t flags;
        Secret *s;
        int r;

        r = sd_bus_message_read(m, "sss", &uuid, &type, &id);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = *uuid ? secrets_find(service->secrets, uuid, &s, &f) : secrets_find_usage(service->secrets, secret_usage_from_string(type), id, &s, &f);
        if (r >= 0)
                r = s->def->is_private == YES ? ask_owner(service, s, m) : open_value(s, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- one secret --- */

static void on_value_set(const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, NULL);
}

BUS_HANDLER(method_set_value, ACTION_SECRETS) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const void *value;
        uint64_t flags;
        size_t length;
        int r;

        r = sd_bus_message_read_array(m, 'y', &value, &length);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0) {
                r = secret_set_value(userdata, value, length, on_value_set, sd_bus_message_ref(m), &f);
                if (r < 0)
                        sd_bus_message_unref(m);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

static int reply_value(sd_bus_message *m, int fd) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char *value = NULL;
        size_t length = 0;
        int r;

        r = fd_read_all(fd, SECRET_VALUE_MAX, &value, &length);
        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_sensitive(reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', value, length);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (value)
                explicit_bzero(value, length);
        free(value);
        return r;
}

static void on_value_got(int *fd, const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;
        int r = why ? -why->error : reply_value(m, *fd);

        if (r < 0)
                (void) bus_reply_fault(m, why, r);
}

BUS_HANDLER(method_get_value, ACTION_SECRETS) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        Secret *s = userdata;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0 && s->def->is_private == YES)
                r = fault_set(&f, FAULT_ACCESS_DENIED, EPERM, "the secret is private: its value is given to no caller");
        if (r >= 0) {
                r = secret_get_value(s, on_value_got, sd_bus_message_ref(m), &f);
                if (r < 0)
                        sd_bus_message_unref(m);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_HANDLER(method_undefine, ACTION_SECRETS) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int r;

        r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = secrets_undefine(userdata, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

BUS_HANDLER(method_export, BUS_OPEN) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        _cleanup_free_ char *text = NULL;
        const char *format;
        Secret *s = userdata;
        uint64_t flags;
        int r;

        r = sd_bus_message_read(m, "st", &format, &flags);
        if (r >= 0 && (!streq(format, "libvirt-xml") || flags != 0))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "the format is libvirt-xml, and there are no flags");
        if (r >= 0)
                r = secret_format(s->def, &text, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, "s", text);
}

/* --- properties --- */

BUS_GETTER(get_uuid) {
        return sd_bus_message_append_array(reply, 'y', &((Secret *) userdata)->uuid, sizeof(sd_id128_t));
}

BUS_GETTER(get_usage_type) {
        return sd_bus_message_append(reply, "s", secret_usage_to_string(((Secret *) userdata)->def->usage) ?: "");
}

BUS_GETTER(get_usage_id) {
        return sd_bus_message_append(reply, "s", secret_usage_id(((Secret *) userdata)->def) ?: "");
}

BUS_GETTER(get_description) {
        return sd_bus_message_append(reply, "s", ((Secret *) userdata)->def->description ?: "");
}

BUS_GETTER(get_ephemeral) {
        return sd_bus_message_append(reply, "b", (int) (((Secret *) userdata)->def->ephemeral == YES));
}

BUS_GETTER(get_private) {
        return sd_bus_message_append(reply, "b", (int) (((Secret *) userdata)->def->is_private == YES));
}

BUS_GETTER(get_has_value) {
        return sd_bus_message_append(reply, "b", (int) secret_has_value(userdata));
}

#define CONST(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define EMITS(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define FLAGS SD_BUS_PARAM(flags) SD_BUS_PARAM(options)
static const sd_bus_vtable secret_vtable[] = {
        SD_BUS_VTABLE_START(0),
        CONST("UUID", "ay", get_uuid),
        EMITS("UsageType", "s", get_usage_type),
        EMITS("UsageID", "s", get_usage_id),
        EMITS("Description", "s", get_description),
        CONST("Ephemeral", "b", get_ephemeral),
        EMITS("Private", "b", get_private),
        EMITS("HasValue", "b", get_has_value),
        SD_BUS_METHOD_WITH_NAMES("SetValue", "ayta{sv}", SD_BUS_PARAM(value) FLAGS, NULL,, method_set_value,
                                 SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("GetValue", "ta{sv}", FLAGS, "ay", SD_BUS_PARAM(value), method_get_value,
                                 SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_NAMES("Undefine", "ta{sv}", FLAGS, NULL,, method_undefine, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ExportDefinition", "st", SD_BUS_PARAM(format) SD_BUS_PARAM(flags), "s", SD_BUS_PARAM(text), method_export,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

/* --- objects --- */

static int object_find(const char *path, void *userdata, void **ret) {
        const char *hex = str_after(path, STORAGE1_ROOT "/secret/");
        Service *s = service_of(userdata);
        sd_id128_t id;

        if (!s || !s->secrets || !hex || strlen(hex) != 32 || sd_id128_from_string(hex, &id) < 0)
                return 0;
        *ret = registry_find_id(s->secrets->registry, id);
        return *ret != NULL;
}

static int object_enumerate(char ***ret, void *userdata) {
        _cleanup_strv_ char **paths = new0(char *, 1);
        Service *s = service_of(userdata);
        char path[SECRET_PATH_MAX];
        size_t count = 0;

        if (!paths)
                return -ENOMEM;
        if (s && s->secrets)
                REGISTRY_FOREACH(Secret, i, s->secrets->registry)
                        if (strv_push_nth(&paths, &count, secret_path(i, path)) < 0)
                                return -ENOMEM;
        *ret = TAKE_PTR(paths);
        return 0;
}

static int object_details(void *object, sd_bus_message *call) {
        const Secret *s = object;

        return sd_bus_message_append(call, "{ss}{ss}", "usage", secret_usage_to_string(s->def->usage) ?: "", "for", secret_usage_id(s->def) ?: "");
}

static const sd_bus_vtable *const secret_vtables[] = { secret_vtable, NULL };
const BusObject secret_object = {
        .path = STORAGE1_ROOT "/secret", .many = true, .interface = STORAGE1_SECRET, .vtables = secret_vtables, .find = object_find,
        .enumerate = object_enumerate, .details = object_details,
};
