/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-ports.h"

#include <unistd.h>

#include "../device/interface.h"
#include "bus-error.h"
#include "call-again.h"
#include "fd.h"
#include "instance.h"
#include "log.h"
#include "manager.h"
#include "mem.h"
#include "port-request.h"
#include "sdbus.h"
#include "str.h"

#define NETWORK1_NAME "org.virtbus.network1"
#define NETWORK1_ROOT "/org/virtbus/network1"
#define NETWORK1_MANAGER NETWORK1_NAME ".Manager"
#define NETWORK1_NETWORK NETWORK1_NAME ".Network"
#define NETWORKD_MATCH \
        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus'," \
        "member='NameOwnerChanged',arg0='" NETWORK1_NAME "'"
/* The network may have to be started first. */
#define ATTACH_TIMEOUT_USEC (20u * 1000 * 1000)      /* for finding the network, and again for a port of it */
#define QUEUES_MAX 16u

typedef struct DomainPort {
        DomainPorts *all;
        Interface *interface;        /* of the live definition */
        int fds[QUEUES_MAX];
        char *network;               /* its object */
        CallAgain *call;
} DomainPort;

struct DomainPorts {
        Domain *domain;
        DomainPort *items;
        size_t n, n_pending;
        Fault why;
        sd_event_source *defer;
        DomainPortsDone done;
        void *userdata;
};

DomainPorts *domain_ports_free(DomainPorts *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n; i++) {
                call_again_free(p->items[i].call);
                free(p->items[i].network);
                for (unsigned q = 0; q < QUEUES_MAX; q++)
                        fd_close(p->items[i].fds[q]);
        }
        sd_event_source_disable_unref(p->defer);
        fault_clear(&p->why);
        free(p->items);
        free(p);
        return NULL;
}

/* --- one port --- */

static void end_one(DomainPort *port) {
        DomainPorts *p = port->all;

        if (--p->n_pending == 0)
                p->done(fault_is_set(&p->why) ? &p->why : NULL, p->userdata);
}

static void fail(DomainPort *port, const sd_bus_error *e, int error) {
        const char *what = port->interface->network ?: port->interface->bridge ?: port->interface->direct ?: "a tap";
        Fault *f = &port->all->why;

        if (fault_is_set(f))
                return;
        if (e && (str_after(e->name, "org.virtbus.Error.") || streq(e->name, SD_BUS_ERROR_ACCESS_DENIED) || streq(e->name, SD_BUS_ERROR_INVALID_ARGS))) {
                (void) fault_from_bus(e, f);
                fault_prefix(f, "interface %s", port->interface->device.id);
                return;
        }
        if (e && (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT))) {
                fault_set(f, FAULT_TIMEOUT, ETIMEDOUT, "interface %s can't be connected to %s: virtnetworkd did not answer within %u s",
                          port->interface->device.id, what, ATTACH_TIMEOUT_USEC / 1000000);
                fault_hint(f, "\"systemctl status virtnetworkd\" may say why");
                return;
        }
        fault_set(f, FAULT_DISCONNECTED, e ? EHOSTUNREACH : -error, "interface %s can't be connected to %s: virtnetworkd does not answer: %s",
                  port->interface->device.id, what, e ? e->message ?: e->name : strerror(-error));
        fault_hint(f, "install or start virtnetworkd, or use an interface of type 'user'");
}

static int take_port(DomainPort *port, sd_bus_message *reply) {
        const char *name;
        unsigned q = 0;
        int fd, r;

        r = sd_bus_message_read(reply, "s", &name);
        if (r >= 0)
                r = interface_set_host(port->interface, name);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "h");
        while (r >= 0 && (r = sd_bus_message_read(reply, "h", &fd)) > 0 && q < QUEUES_MAX)
                r = port->fds[q++] = fd_copy(fd);
        if (r >= 0 && q != interface_queues(port->interface))
                r = -EBADMSG;
        return r;
}

static int on_attached(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        DomainPort *port = userdata;
        int r = 0;

        port->call = call_again_free(port->call);
        if (!e)
                r = take_port(port, reply);
        if (e || r < 0)
                fail(port, e, r);
        end_one(port);
        return 0;
}

/* Of the host, without a network: a bridge, a link, or a tap alone. */
static int append_target(sd_bus_message *m, const Interface *i) {
        if (i->bridge)
                return sd_bus_message_append(m, "s", i->bridge);
        if (i->type == INTERFACE_ETHERNET)
                return sd_bus_message_append(m, "sb", interface_wanted_tap(i), i->managed != NO);
        return sd_bus_message_append(m, "ss", i->direct, direct_mode_to_string(i->direct_mode == DIRECT_NONE ? DIRECT_VEPA : (DirectMode) i->direct_mode));
}

static int new_call(const DomainPort *port, sd_bus_message **ret) {
        sd_bus *bus = manager_network_bus(port->all->domain->manager);
        const Interface *i = port->interface;
        const char *method = i->bridge ? "AttachBridgePort" : i->direct ? "AttachLinkPort" : "AttachTap";
        int r;

        if (port->network)
                return sd_bus_message_new_method_call(bus, ret, NETWORK1_NAME, port->network, NETWORK1_NETWORK, "AttachPort");
        r = sd_bus_message_new_method_call(bus, ret, NETWORK1_NAME, NETWORK1_ROOT, NETWORK1_MANAGER, method);
        return r < 0 ? r : append_target(*ret, i);
}

static int attach(DomainPort *port) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = new_call(port, &m);
        if (r >= 0)
                r = port_append(m, port->all->domain, port->interface);
        return r < 0 ? r : call_again(manager_network_bus(port->all->domain->manager), m, on_attached, port, ATTACH_TIMEOUT_USEC, &port->call);
}

/* Whether its bridge is one of Open vSwitch its network says. Ids are not for sessions to choose. */
static int take_mode(DomainPort *port, sd_bus_message *reply) {
        const char *mode;
        int r = sd_bus_message_read(reply, "v", "s", &mode);

        if (r >= 0 && streq(mode, "openvswitch"))
                r = interface_set_switch(port->interface, !port->all->domain->manager->user);
        return r < 0 ? r : attach(port);
}

static int on_mode(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        DomainPort *port = userdata;
        int r = 0;

        port->call = call_again_free(port->call);
        if (!e)
                r = take_mode(port, reply);
        if (e || r < 0) {
                fail(port, e, r);
                end_one(port);
        }
        return 0;
}

static int ask_mode(DomainPort *port) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = manager_network_bus(port->all->domain->manager);
        int r = sd_bus_message_new_method_call(bus, &m, NETWORK1_NAME, port->network, "org.freedesktop.DBus.Properties", "Get");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", NETWORK1_NETWORK, "ForwardMode");
        return r < 0 ? r : call_again(bus, m, on_mode, port, ATTACH_TIMEOUT_USEC, &port->call);
}

static int take_network(DomainPort *port, sd_bus_message *reply) {
        const char *path;
        int r = sd_bus_message_read(reply, "o", &path);

        if (r >= 0)
                r = free_and_strdup(&port->network, path);
        if (r < 0)
                return r;
        return port->interface->port.virtual_port.type == VIRTUAL_PORT_NONE ? ask_mode(port) : attach(port);
}

static int on_network(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        DomainPort *port = userdata;
        int r = 0;

        port->call = call_again_free(port->call);
        if (!e)
                r = take_network(port, reply);
        if (e || r < 0) {
                fail(port, e, r);
                end_one(port);
        }
        return 0;
}

static int find_network(sd_bus *bus, DomainPort *port) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(bus, &m, NETWORK1_NAME, NETWORK1_ROOT, NETWORK1_MANAGER, "GetNetwork");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", port->interface->network);
        return r < 0 ? r : call_again(bus, m, on_network, port, ATTACH_TIMEOUT_USEC, &port->call);
}

static int begin(DomainPort *port) {
        sd_bus *bus = manager_network_bus(port->all->domain->manager);
        int r;

        if (!bus)
                return -ENOTCONN;
        if (port->interface->network)
                r = find_network(bus, port);
        else
                r = attach(port);
        if (r >= 0)
                port->all->n_pending++;
        return r;
}

/* --- all of them --- */

static int on_defer(sd_event_source *source, void *userdata) {
        DomainPorts *p = userdata;

        p->defer = sd_event_source_disable_unref(p->defer);
        p->done(NULL, p->userdata);
        return 0;
}

static void collect(DomainPorts *p, const DomainDef *def) {
        for (size_t i = 0; i < def->devices.n; i++) {
                Interface *n = device_as_interface((const Device *) def->devices.items[i]);
                DomainPort *port;

                if (!n || !interface_has_tap(n))
                        continue;
                port = &p->items[p->n++];
                *port = (DomainPort) { .all = p, .interface = n };
                for (unsigned q = 0; q < QUEUES_MAX; q++)
                        port->fds[q] = -1;
        }
}

int domain_ports_new(Domain *d, DomainDef *live, DomainPortsDone done, void *userdata, DomainPorts **ret, Fault *f) {
        _cleanup_(domain_ports_freep) DomainPorts *p = new0(DomainPorts, 1);
        int r = 0;

        assert(d && live && done && ret);

        if (!p)
                return fault_oom(f);
        *p = (DomainPorts) { .domain = d, .done = done, .userdata = userdata, .items = new0(DomainPort, live->devices.n) };
        if (!p->items)
                return fault_oom(f);
        collect(p, live);
        for (size_t i = 0; i < p->n && r >= 0; i++) {
                r = begin(&p->items[i]);
                if (r < 0) {
                        fail(&p->items[i], NULL, r);
                        fault_move(f, &p->why);
                }
        }
        if (p->n == 0)
                r = sd_event_add_defer(d->manager->event, &p->defer, on_defer, p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

/* --- a network that was stopped under its guests, and is there again --- */

static bool has_lost_bridge(const Interface *i) {
        _cleanup_free_ char *tap = strf("/sys/class/net/%s/tun_flags", i->host), *bridge = strf("/sys/class/net/%s/master", i->host);

        return tap && bridge && access(tap, F_OK) >= 0 && access(bridge, F_OK) < 0;
}

static int on_put_back(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                log_debug("a port is not put back on its network: %s", e->message);
        return 0;
}

static int put_back(Domain *d, Interface *i) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(d->manager->bus, &m, NETWORK1_NAME, NETWORK1_ROOT, NETWORK1_MANAGER, "ReattachPort");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", i->network, i->host);
        if (r >= 0)
                r = port_append(m, d, i);
        return r < 0 ? r : sd_bus_call_async(d->manager->bus, NULL, m, on_put_back, NULL, ATTACH_TIMEOUT_USEC);
}

void domain_ports_put_back(Domain *d, const char *network) {
        int r = 0;

        if (!d->manager->bus || d->manager->user || !d->live) /* it is root's to do */
                return;
        for (size_t k = 0; k < d->live->devices.n && r >= 0; k++) {
                Interface *i = device_as_interface((const Device *) d->live->devices.items[k]);

                if (i && i->network && i->host && interface_has_tap(i) && (!network || streq(i->network, network)) && has_lost_bridge(i))
                        r = put_back(d, i);
        }
        if (r < 0)
                (void) log_domain_warning_errno(d, r, "its interfaces can't be put back on their networks: %m");
}

static void put_all_back(Manager *m, const char *network) {
        REGISTRY_FOREACH(Domain, d, m->domains)
                if (d->instance)
                        domain_ports_put_back(d, network);
}

static int on_network_started(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name;

        if (sd_bus_message_read(m, "s", &name) >= 0)
                put_all_back(userdata, name);
        return 0;
}

/* One that died when it was stopping a network takes it up again, before it has its name. */
static int on_networkd(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) >= 0 && *after)
                put_all_back(userdata, NULL);
        return 0;
}

int domain_ports_listen(Manager *m) {
        int r;

        if (!m->bus || m->user)
                return 0;
        r = sd_bus_add_match_async(m->bus, &m->networkd_heard, NETWORKD_MATCH, on_networkd, NULL, m);
        if (r < 0)
                return r;
        return sd_bus_match_signal_async(m->bus, &m->networks_heard, NETWORK1_NAME, NETWORK1_ROOT, NETWORK1_MANAGER, "NetworkStarted", on_network_started,
                                         NULL, m);
}

int domain_ports_fd(const DomainPorts *p, const char *queue) {
        const char *slash = strrchr(queue, '/');
        uint32_t q;

        if (!p || !slash || parse_u32(slash + 1, &q) < 0 || q >= QUEUES_MAX)
                return -1;
        for (size_t i = 0; i < p->n; i++) {
                const char *id = p->items[i].interface->device.id;

                if (strlen(id) == (size_t) (slash - queue) && strncmp(id, queue, strlen(id)) == 0)
                        return p->items[i].fds[q];
        }
        return -1;
}

int domain_port_limit(Domain *d, const Interface *running, const Interface *wanted, sd_bus_message_handler_t done, void *userdata, sd_bus_slot **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = manager_network_bus(d->manager);
        int r = bus && running->host ? 0 : -ENOTCONN;

        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, NETWORK1_NAME, NETWORK1_ROOT, NETWORK1_MANAGER, "SetPortBandwidth");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", running->host);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = port_append_bandwidth(m, "inbound", &wanted->port.inbound);
        if (r >= 0)
                r = port_append_bandwidth(m, "outbound", &wanted->port.outbound);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ta{sv}", UINT64_C(0), 0);
        if (r < 0)
                return r;
        return done ? sd_bus_call_async(bus, ret, m, done, userdata, ATTACH_TIMEOUT_USEC) : sd_bus_send(bus, m, NULL);
}
