/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "interface-socket.h"

#include "device.h"
#include "mem.h"
#include "memory-backend.h"
#include "netaddr.h"
#include "str.h"
#include "virtio.h"
#include "xml-read.h"

/* --- rules --- */

static bool is_peer(const Interface *i) {
        return i->type == INTERFACE_CLIENT || i->type == INTERFACE_SERVER || i->type == INTERFACE_UDP;
}

static int check_address(const Interface *i, const char *path, const char *address, uint64_t port, Fault *f) {
        IpAddress ip;

        if (!address || port == NUMBER_UNSET)
                return xml_fault_below(&i->device.head, path, f, FAULT_INVALID_DEFINITION, "it needs an address and a port");
        if (ip_from_text(address, &ip) < 0)
                return xml_fault_below(&i->device.head, path, f, FAULT_NOT_SUPPORTED, "'%.64s' is no address, and names are not looked up", address);
        return 0;
}

static int check_peer(const Interface *i, Fault *f) {
        bool any_address = i->type == INTERFACE_SERVER && !i->socket.address;
        int r = any_address ? 0 : check_address(i, "source", i->socket.address, i->socket.port, f);

        if (r >= 0 && any_address && i->socket.port == NUMBER_UNSET)
                return xml_fault_below(&i->device.head, "source", f, FAULT_INVALID_DEFINITION, "it needs a port");
        return r < 0 || i->type != INTERFACE_UDP ? r : check_address(i, "source/local", i->socket.local_address, i->socket.local_port, f);
}

static int check_vhostuser(const Interface *i, Fault *f) {
        const Record *r = &i->device.head;

        if (!i->socket.path || i->socket.path[0] != '/' || !i->socket.type)
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "type 'vhostuser' needs <source type='unix' path='/…' mode='…'/>");
        if (i->socket.reconnect == YES) {
                xml_fault_below(r, "source/reconnect", f, FAULT_NOT_SUPPORTED, "QEMU can't connect again by itself");
                fault_hint(f, "let the switch connect: mode='server'");
                return -EOPNOTSUPP;
        }
        return 0;
}

int interface_socket_check_record(const Interface *i, Fault *f) {
        const Record *r = &i->device.head;
        bool vhostuser = i->type == INTERFACE_VHOSTUSER;

        if (!is_peer(i) && (i->socket.address || i->socket.port != NUMBER_UNSET))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "address and port are for the types 'client', 'server' and 'udp'");
        if (i->type != INTERFACE_UDP && (i->socket.local_address || i->socket.local_port != NUMBER_UNSET))
                return xml_fault_below(r, "source/local", f, FAULT_INVALID_DEFINITION, "it is for type 'udp'");
        if (!vhostuser && (i->socket.path || i->socket.type || i->socket.reconnect != UNSET))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "type, path and reconnect are for type 'vhostuser'");
        if (i->type == INTERFACE_VDPA && (!i->direct || i->direct[0] != '/'))
                return xml_fault_below(r, "source", f, FAULT_INVALID_DEFINITION, "type 'vdpa' needs <source dev='/dev/vhost-vdpa-…'/>");
        return vhostuser ? check_vhostuser(i, f) : is_peer(i) ? check_peer(i, f) : 0;
}

int interface_socket_check(const Interface *i, const DomainDef *def, Fault *f) {
        bool shares = i->type == INTERFACE_VHOSTUSER;

        if ((shares || i->type == INTERFACE_VDPA) && i->model != INTERFACE_VIRTIO && i->model != INTERFACE_VIRTIO_NON_TRANSITIONAL)
                return xml_fault(&i->device.head, f, FAULT_INVALID_DEFINITION, "type '%s' is of model 'virtio'",
                                 interface_type_to_string((InterfaceType) i->type));
        return shares ? memory_check_shared(def, &i->device.head, "the switch", f) : 0;
}

/* --- QEMU --- */

static json_t *number(Args *a, PlanFdKind kind, const char *path) {
        _cleanup_free_ char *name = path ? args_fd_name(a, args_fd(a, kind, path, false, false, false, NULL)) : NULL;

        return name ? json_pack("{s:s, s:s}", "type", "fd", "str", name) : NULL;
}

static json_t *stream(const Interface *i, Args *a, const char *id, bool server) {
        _cleanup_free_ char *place = strf("%s %" PRIu64, i->socket.address ?: "0.0.0.0", i->socket.port);

        return json_pack("{s:s, s:s, s:b, s:o}", "type", "stream", "id", id, "server", (int) server, "addr",
                         number(a, server ? PLAN_FD_LISTEN_TCP : PLAN_FD_CONNECT_TCP, place));
}

static json_t *datagrams(const Interface *i, Args *a, const char *id) {
        _cleanup_free_ char *place = strf("%s %" PRIu64 " %s %" PRIu64, i->socket.local_address, i->socket.local_port, i->socket.address, i->socket.port);

        return json_pack("{s:s, s:s, s:o}", "type", "dgram", "id", id, "local", number(a, PLAN_FD_UDP, place));
}

static json_t *vhost_user(const Interface *i, Args *a, const char *id) {
        bool server = i->direct_mode == SOCKET_MODE_SERVER;
        _cleanup_free_ char *chardev = strf("char%s", i->device.id);
        _cleanup_free_ char *fd = args_fd_name(a, args_fd(a, server ? PLAN_FD_LISTEN : PLAN_FD_CONNECT, i->socket.path, false, false, false, NULL));
        json_t *json;

        if (!chardev || !fd ||
            args_socket(a, chardev, fd, server) < 0)
                return NULL;
        json = json_pack("{s:s, s:s, s:s}", "type", "vhost-user", "id", id, "chardev", chardev);
        if (json && json_set_number(json, "queues", i->queues) < 0) {
                json_decref(json);
                return NULL;
        }
        return json;
}

/* The device is opened by QEMU itself: the program beside it sees to it that it may. */
static json_t *vdpa(const Interface *i, Args *a, const char *id) {
        unsigned fdset;
        json_t *json;

        if (args_fd(a, PLAN_FD_COMPANION, i->device.id, true, false, true, &fdset) < 0)
                return NULL;
        json = json_pack("{s:s, s:s, s:s}", "type", "vhost-vdpa", "id", id, "vhostdev", i->direct);
        if (json && json_set_number(json, "queues", i->queues) < 0) {
                json_decref(json);
                return NULL;
        }
        return json;
}

json_t *interface_socket_netdev(const Interface *i, Args *a, const char *id) {
        if (i->type == INTERFACE_VHOSTUSER)
                return vhost_user(i, a, id);
        if (i->type == INTERFACE_VDPA)
                return vdpa(i, a, id);
        return i->type == INTERFACE_UDP ? datagrams(i, a, id) : stream(i, a, id, i->type == INTERFACE_SERVER);
}
