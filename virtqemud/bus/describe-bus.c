/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "describe-bus.h"

#include "bus-auth.h"
#include "bus-error.h"
#include "device-bus.h"
#include "mem.h"
#include "service.h"
#include "str.h"

#define NAMES_MAX 256u

/* An object as an answer is written: one of its interfaces after the other. */
typedef struct Described {
        sd_bus *bus;
        const char *path;
        const sd_bus_vtable **rows; /* of its properties, up to a NULL: of domains only, which have the same ones all */
} Described;

/* --- one property --- */

static const sd_bus_vtable *next_property(const sd_bus_vtable *v) {
        do
                v++;
        while (v->type != _SD_BUS_VTABLE_END && v->type != _SD_BUS_VTABLE_PROPERTY && v->type != _SD_BUS_VTABLE_WRITABLE_PROPERTY);
        return v->type == _SD_BUS_VTABLE_END ? NULL : v;
}

static bool has_name(char **names, const char *name) {
        for (size_t i = 0; names[i]; i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

static int append_value(sd_bus_message *reply, const Described *x, const char *interface, const sd_bus_vtable *v, void *object) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        void *value = (char *) object + v->x.property.offset;
        int r = sd_bus_message_open_container(reply, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", v->x.property.member);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', v->x.property.signature);
        if (r >= 0)
                r = v->x.property.get ? v->x.property.get(x->bus, x->path, interface, v->x.property.member, reply, value, &error)
                                      : sd_bus_message_append_basic(reply, v->x.property.signature[0], value);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* What GetAll() leaves out is left out here unless it is named. */
static bool is_wanted(const sd_bus_vtable *v, char **names) {
        return names ? has_name(names, v->x.property.member) : !(v->flags & SD_BUS_VTABLE_PROPERTY_EXPLICIT);
}

/* As a{sv}. */
static int append_properties(sd_bus_message *reply, const Described *x, const BusObject *row, void *object) {
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        for (size_t i = 0; row->vtables[i] && r >= 0; i++)
                for (const sd_bus_vtable *v = row->vtables[i]; (v = next_property(v)) && r >= 0;)
                        if (is_wanted(v, NULL))
                                r = append_value(reply, x, row->interface, v, object);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* --- domains --- */

static int check_names(char **names, Fault *f) {
        for (size_t i = 0; names && names[i]; i++) {
                bool known = false;

                for (const sd_bus_vtable *v = domain_property_vtable; (v = next_property(v)) && !known;)
                        known = streq(v->x.property.member, names[i]);
                if (i >= NAMES_MAX)
                        return fault_set(f, FAULT_LIMIT, E2BIG, "more than %u properties are named", NAMES_MAX);
                if (!known)
                        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "domains have no property \"%.64s\"", names[i]);
        }
        return 0;
}

static int append_domain(sd_bus_message *reply, Described *x, Domain *d) {
        char path[DOMAIN_PATH_MAX];
        int r = sd_bus_message_open_container(reply, 'r', "oa{sv}");

        x->path = domain_path(d, path);
        if (r >= 0)
                r = sd_bus_message_append(reply, "o", path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (size_t i = 0; x->rows[i] && r >= 0; i++)
                r = append_value(reply, x, domain_object.interface, x->rows[i], d);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Names are compared once, not for every domain. */
static int find_rows(Described *x, char **names) {
        size_t n = 0;

        for (size_t i = 0; domain_object.vtables[i]; i++)
                for (const sd_bus_vtable *v = domain_object.vtables[i]; (v = next_property(v));)
                        n++;
        x->rows = new0(const sd_bus_vtable *, n + 1);
        if (!x->rows)
                return -ENOMEM;
        n = 0;
        for (size_t i = 0; domain_object.vtables[i]; i++)
                for (const sd_bus_vtable *v = domain_object.vtables[i]; (v = next_property(v));)
                        if (is_wanted(v, names))
                                x->rows[n++] = v;
        return 0;
}

static int append_named(sd_bus_message *m, sd_bus_message *reply, Described *x, Service *s, Fault *f) {
        size_t left = registry_count(s->manager->domains);
        const char *path, *rest;
        Domain *d;
        int r;

        while ((r = sd_bus_message_read_basic(m, 'o', &path)) > 0) {
                if (left-- == 0)
                        return fault_set(f, FAULT_LIMIT, E2BIG, "more domains are named than there are");
                if (domain_find_path(path, s->daemon, &d, &rest) <= 0 || *rest)
                        return fault_set(f, FAULT_NO_SUCH_DOMAIN, ENOENT, "there is no domain %.200s", path);
                r = append_domain(reply, x, d);
                if (r < 0)
                        return r;
        }
        return r;
}

static int append_every(sd_bus_message *reply, Described *x, const Service *s) {
        int r = 0;

        REGISTRY_FOREACH(Domain, d, s->manager->domains)
                if (r >= 0)
                        r = append_domain(reply, x, d);
        return r;
}

/* The names stand behind the domains: those are gone back to. */
static int fill_domains(sd_bus_message *m, sd_bus_message *reply, Described *x, Service *s, Fault *f) {
        _cleanup_strv_ char **names = NULL;
        bool all;
        int r = sd_bus_message_skip(m, "ao");

        if (r >= 0)
                r = bus_read_strings(m, &names, f);
        if (r >= 0)
                r = check_names(names, f);
        if (r >= 0)
                r = find_rows(x, names && names[0] ? names : NULL);
        if (r >= 0)
                r = sd_bus_message_rewind(m, true);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "o");
        if (r < 0)
                return r;
        all = sd_bus_message_at_end(m, false) > 0;
        r = sd_bus_message_open_container(reply, 'a', "(oa{sv})");
        if (r >= 0)
                r = all ? append_every(reply, x, s) : append_named(m, reply, x, s, f);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_HANDLER(method_list_domain_properties, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        Described x = { .bus = sd_bus_message_get_bus(m) };
        int r = sd_bus_message_new_method_return(m, &reply);

        if (r >= 0)
                r = fill_domains(m, reply, &x, service_of(userdata), &f);
        free(x.rows);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_send(NULL, reply, NULL);
}

/* --- devices of one domain --- */

static int append_interface(sd_bus_message *reply, const Described *x, const BusObject *row, void *object) {
        int r = sd_bus_message_open_container(reply, 'e', "sa{sv}");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", row->interface);
        if (r >= 0)
                r = append_properties(reply, x, row, object);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_device(sd_bus_message *reply, const Described *x, void *userdata) {
        int r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");
        void *object;

        if (r >= 0)
                r = sd_bus_message_append(reply, "o", x->path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");
        for (size_t i = 0; service_objects[i] && r >= 0; i++)
                if (streq(service_objects[i]->path, domain_object.path) && service_objects[i]->find(x->path, userdata, &object) > 0)
                        r = append_interface(reply, x, service_objects[i], object);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_HANDLER(method_get_devices, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Described x = { .bus = sd_bus_message_get_bus(m) };
        _cleanup_strv_ char **paths = NULL;
        const Domain *d = userdata;
        size_t n = 0;
        int r = device_bus_enumerate(d, &paths, &n);

        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}");
        for (size_t i = 0; i < n && r >= 0; i++) {
                x.path = paths[i];
                r = append_device(reply, &x, ((Service *) d->manager->watch_userdata)->daemon);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

const sd_bus_vtable manager_describe_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("ListDomainProperties", "aoas", SD_BUS_PARAM(domains) SD_BUS_PARAM(names), "a(oa{sv})", SD_BUS_PARAM(properties),
                                 method_list_domain_properties, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

const sd_bus_vtable domain_describe_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("GetDevices", "", , "a{oa{sa{sv}}}", SD_BUS_PARAM(devices), method_get_devices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};
