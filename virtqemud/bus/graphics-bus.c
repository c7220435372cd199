/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "graphics-bus.h"

#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "../device/graphics.h"
#include "../run/displays.h"
#include "../run/instance.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "device-object.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

static int find_graphics(const char *path, void *userdata, void **ret) {
        return device_object_find(path, userdata, ret, DEVICE_GRAPHICS);
}

/* Where it is served now: only a running one is. */
static const Graphics *live_graphics(const DeviceObject *o) {
        const Device *d = o->domain->live ? domain_find_device(o->domain->live, o->id) : NULL;

        return d ? device_as_graphics(d) : NULL;
}

BUS_GETTER(get_type) {
        const Device *d = device_object_device(userdata);

        return sd_bus_message_append(reply, "s", d ? graphics_type_to_string((GraphicsType) device_as_graphics(d)->type) : "");
}

BUS_GETTER(get_listen) {
        const Graphics *g = live_graphics(userdata);
        const GraphicsListen *l = g ? graphics_listen(g) : NULL;

        return sd_bus_message_append(reply, "s", l && l->type == LISTEN_ADDRESS ? l->address : "");
}

BUS_GETTER(get_port) {
        const Graphics *g = live_graphics(userdata);

        return sd_bus_message_append(reply, "q", (uint16_t) (g && g->port > 0 ? g->port : 0));
}

BUS_GETTER(get_tls_port) {
        const Graphics *g = live_graphics(userdata);

        return sd_bus_message_append(reply, "q", (uint16_t) (g && g->tls_port > 0 ? g->tls_port : 0));
}

BUS_GETTER(get_websocket_port) {
        const Graphics *g = live_graphics(userdata);

        return sd_bus_message_append(reply, "q", (uint16_t) (g && g->websocket > 0 ? g->websocket : 0));
}

BUS_GETTER(get_tls) {
        const Graphics *g = live_graphics(userdata);

        return sd_bus_message_append(reply, "b", g && g->certificates);
}

BUS_GETTER(get_socket) {
        const Graphics *g = live_graphics(userdata);

        return sd_bus_message_append(reply, "s", (g ? display_socket(g) : NULL) ?: "");
}

/* --- a viewer's connection --- */

typedef struct Opening {
        sd_bus_message *call;
        int fd;
} Opening;

static Opening *opening_free(Opening *o) {
        if (!o)
                return NULL;
        sd_bus_message_unref(o->call);
        fd_close(o->fd);
        free(o);
        return NULL;
}
DEFINE_CLEANUP(Opening *, opening_free)

static void on_opened(const Fault *why, void *userdata) {
        _cleanup_(opening_freep) Opening *o = userdata;

        if (why)
                (void) bus_reply_fault(o->call, why, -why->error);
        else
                (void) sd_bus_reply_method_return(o->call, "h", o->fd);
}

static int open_display(const DeviceObject *object, bool tls, sd_bus_message *call, Fault *f) {
        Instance *i = object->domain->instance;
        const Graphics *g = live_graphics(object);
        _cleanup_(opening_freep) Opening *o = NULL;
        int pair[2], r;

        if (!g || !i || !i->displays || !i->qmp) /* commands wait until it answers */
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: its display %s is not there", object->domain->name,
                                 domain_state_to_string(object->domain->state), object->id);
        if (tls && g->type != GRAPHICS_SPICE)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "only SPICE speaks TLS over D-Bus: nobody else sees what goes there");
        if (tls && !g->certificates)
                return fault_set(f, FAULT_INVALID_STATE, EOPNOTSUPP, "the display %s of %s was started without TLS", object->id, object->domain->name);
        o = new0(Opening, 1);
        if (!o)
                return fault_oom(f);
        o->fd = -1;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return fault_set(f, FAULT_HOST, errno, "can't make a socket pair: %m");
        o->fd = pair[0];
        o->call = sd_bus_message_ref(call);
        r = displays_add_client(i->displays, g, pair[1], CLIENT_TRUSTED | (tls ? CLIENT_TLS : 0), on_opened, o, f);
        if (r >= 0)
                TAKE_PTR(o);
        return r;
}

BUS_HANDLER(method_open, ACTION_CONSOLE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        int tls = false, r;
        const BusOption options[] = { { "tls", 'b', &tls } };

        r = bus_read_options(m, 0, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = open_display(userdata, tls, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- the password of who comes by the port or the socket --- */

typedef struct PasswordChange {
        sd_bus_message *call;
        const char *protocol;        /* static */
        uint64_t until_usec;
} PasswordChange;

static PasswordChange *password_change_free(PasswordChange *p) {
        if (!p)
                return NULL;
        sd_bus_message_unref(p->call);
        free(p);
        return NULL;
}
DEFINE_CLEANUP(PasswordChange *, password_change_free)

static void on_expiry(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_(password_change_freep) PasswordChange *p = userdata;

        if (why)
                (void) bus_reply_fault(p->call, why, -why->error);
        else
                (void) sd_bus_reply_method_return(p->call, NULL);
}

/* QEMU keeps the expiry of the last password until it is told another. It comes second: an old password shall not come to life again. */
static void on_password(Qmp *q, json_t *result, const Fault *why, void *userdata) {
        _cleanup_(password_change_freep) PasswordChange *p = userdata;
        _cleanup_free_ char *when = p->until_usec == 0 ? strdup("never") : strf("%" PRIu64, p->until_usec / 1000000);
        _cleanup_fault_ Fault f = FAULT_INIT;
        json_t *arguments;
        int r;

        if (why) {
                (void) bus_reply_fault(p->call, why, -why->error);
                return;
        }
        arguments = when ? json_pack("{s:s, s:s}", "protocol", p->protocol, "time", when) : NULL;
        r = arguments ? qmp_send_always(q, "expire_password", arguments, 0, on_expiry, p) : -ENOMEM;
        if (r >= 0) {
                TAKE_PTR(p);
                return;
        }
        fault_set(&f, FAULT_QEMU, -r, "the password has changed, but QEMU can't be told until when: %s", strerror(-r));
        (void) bus_reply_fault(p->call, &f, r);
}

static int check_password(const DeviceObject *o, const Graphics *g, const char *password, Fault *f) {
        const Instance *i = o->domain->instance;

        if (!g || !i || !i->qmp)
                return fault_set(f, FAULT_INVALID_STATE, ENOTCONN, "%s is %s: its display %s is not there", o->domain->name,
                                 domain_state_to_string(o->domain->state), o->id);
        if (g->type == GRAPHICS_DBUS)
                return fault_set(f, FAULT_NOT_SUPPORTED, EOPNOTSUPP, "a display of type 'dbus' has no password: who may open it is polkit's to say");
        if (!g->password) {
                fault_set(f, FAULT_INVALID_STATE, EINVAL, "the display %s of %s was started without a password", o->id, o->domain->name);
                fault_hint(f, "give its <graphics> a passwd; from the next start on it can be changed");
                return -EINVAL;
        }
        if (is_empty(password) || (g->type == GRAPHICS_VNC && strlen(password) > 8))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "a password%s",
                                 g->type == GRAPHICS_VNC ? " of VNC has from 1 to 8 characters" : " is not empty");
        return 0;
}

static int set_password(const DeviceObject *o, const char *password, uint64_t until_usec, sd_bus_message *call, Fault *f) {
        const Graphics *g = live_graphics(o);
        _cleanup_(password_change_freep) PasswordChange *p = NULL;
        json_t *arguments;
        int r = check_password(o, g, password, f);

        if (r < 0)
                return r;
        p = new0(PasswordChange, 1);
        arguments = json_pack("{s:s, s:s}", "protocol", graphics_protocol(g), "password", password);
        if (!p || !arguments) {
                json_decref(arguments);
                return fault_oom(f);
        }
        *p = (PasswordChange) { .call = sd_bus_message_ref(call), .protocol = graphics_protocol(g), .until_usec = until_usec };
        r = qmp_send_always(o->domain->instance->qmp, "set_password", arguments, 0, on_password, p);
        if (r < 0)
                return fault_set(f, FAULT_QEMU, -r, "QEMU of %s can't be asked: %s", o->domain->name, strerror(-r));
        TAKE_PTR(p);
        return 0;
}

BUS_HANDLER(method_set_password, ACTION_CONFIG) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags, until_usec;
        const char *password;
        int r;

        r = sd_bus_message_read(m, "st", &password, &until_usec);
        if (r >= 0)
                r = bus_read_options(m, 0, &flags, NULL, 0, &f);
        if (r >= 0)
                r = set_password(userdata, password, until_usec, m, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable graphics_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Type", "s", get_type, 0, 0),
        SD_BUS_PROPERTY("Listen", "s", get_listen, 0, EMITS),
        SD_BUS_PROPERTY("Port", "q", get_port, 0, EMITS),
        SD_BUS_PROPERTY("TLSPort", "q", get_tls_port, 0, EMITS),
        SD_BUS_PROPERTY("WebSocketPort", "q", get_websocket_port, 0, EMITS),
        SD_BUS_PROPERTY("TLS", "b", get_tls, 0, EMITS),
        SD_BUS_PROPERTY("Socket", "s", get_socket, 0, EMITS),
        SD_BUS_METHOD_WITH_NAMES("Open", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), "h", SD_BUS_PARAM(stream), method_open,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetPassword", "stta{sv}", SD_BUS_PARAM(password) SD_BUS_PARAM(until) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,,
                                 method_set_password, SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const graphics_vtables[] = { graphics_vtable, NULL };

DEVICE_OBJECT(graphics_object, INTERFACE_GRAPHICS, graphics_vtables, find_graphics);
