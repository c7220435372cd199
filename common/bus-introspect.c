/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include <sys/socket.h>

#include "fd.h"
#include "mem.h"
#include "str.h"

/* sd-bus knows how to describe a vtable only when it answers a call, so two ends of a socket pair in this process talk to each other. */
static int open_end(int fd, bool server, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        sd_id128_t id;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        r = sd_bus_set_fd(bus, fd, fd);
        if (r >= 0)
                r = sd_id128_randomize(&id);
        if (r >= 0 && server)
                r = sd_bus_set_server(bus, true, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        char **ret = userdata;
        const char *xml;

        *ret = sd_bus_message_read(reply, "s", &xml) >= 0 ? strdup(xml) : strdup("");
        return 0;
}

static int talk(sd_bus *server, sd_bus *client, char **reply) {
        for (unsigned i = 0; i < 1000 && !*reply; i++) {
                int r = sd_bus_process(server, NULL), q;

                if (r < 0)
                        return r;
                q = sd_bus_process(client, NULL);
                if (q < 0)
                        return q;
        }
        return *reply ? 0 : -ETIMEDOUT;
}

/* The one <interface> element out of a whole answer. */
static char *cut_interface(const char *xml, const char *interface) {
        _cleanup_free_ char *begin = strf(" <interface name=\"%s\">", interface);
        const char *at = begin ? strstr(xml, begin) : NULL, *end = at ? strstr(at, "</interface>\n") : NULL;

        return end ? strndup(at, (size_t) (end - at) + strlen("</interface>\n")) : NULL;
}

int bus_introspect(const BusObject *const *objects, const char *interface, char **ret) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *server = NULL, *client = NULL;
        _cleanup_free_ char *reply = NULL;
        int pair[2], r;

        assert(objects && interface && ret);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        r = open_end(pair[0], true, &server);
        if (r < 0) {
                fd_close(pair[1]);
                return r;
        }
        r = open_end(pair[1], false, &client);
        for (const BusObject *const *o = objects; *o && r >= 0; o++)
                for (const sd_bus_vtable *const *v = (*o)->vtables; streq((*o)->interface, interface) && *v && r >= 0; v++)
                        r = sd_bus_add_object_vtable(server, NULL, "/i", interface, *v, NULL);
        if (r >= 0)
                r = sd_bus_call_method_async(client, NULL, NULL, "/i", "org.freedesktop.DBus.Introspectable", "Introspect", on_reply,
                                             &reply, NULL);
        if (r >= 0)
                r = talk(server, client, &reply);
        if (r < 0)
                return r;
        *ret = cut_interface(reply, interface);
        return *ret ? 0 : -ENOENT;
}
