/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../run/guest-addresses.h"
#include "../run/port.h"
#include "../run/shape.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "service.h"
#include "str.h"
#include "version.h"

/* org.virtbus.network1.Manager. */

BUS_HANDLER(method_get, BUS_OPEN) {
        return defined_get(&network_bus, &service_of(userdata)->networks->set, m, error);
}

BUS_HANDLER(method_get_by_uuid, BUS_OPEN) {
        return defined_get_by_uuid(&network_bus, &service_of(userdata)->networks->set, m, error);
}

BUS_HANDLER(method_list, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Service *s = service_of(userdata);
        char path[NETWORK_PATH_MAX];
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssbo)");
        REGISTRY_FOREACH(Network, n, s->networks->set.registry) {
                const NetworkDef *def = network_def(n);

                if (r >= 0)
                        r = sd_bus_message_append(reply, "(ssbo)", n->name, def ? network_kind_to_string(network_kind(def)) : "broken",
                                                  (int) n->active, network_path(n, path));
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

BUS_HANDLER(method_define, ACTION_MANAGE) {
        return defined_define(&network_bus, &service_of(userdata)->networks->set, m, error);
}

BUS_HANDLER(method_start_transient, ACTION_MANAGE) {
        return defined_start_transient(&network_bus, &service_of(userdata)->networks->set, m, error);
}

BUS_HANDLER(method_start, ACTION_MANAGE) {
        return defined_start_named(&service_of(userdata)->networks->set, m, error);
}

BUS_HANDLER(method_stop, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        uint64_t flags;
        void *network;
        int r = defined_read_named(&service_of(userdata)->networks->set, m, BUS_FLAG_FORCE, &flags, &network, &f);

        return r < 0 ? fault_to_bus(&f, r, error) : network_stop_call(network, flags, m, error);
}

/* What was opened for a call gets what the call asks for, and is its answer. */
static int finish_port(Networks *s, const char *bridge, const PortRequest *q, const char *name, int *fds, sd_bus_message *m, Fault *f) {
        int r = port_set_up(s->links, name, bridge, &q->settings, f);

        if (r < 0)
                port_close(fds, q->queues);
        else
                reply_port(name, fds, q->queues, NULL, sd_bus_message_ref(m));
        return r;
}

static int refuse_virtual_port(const PortRequest *q, Fault *f) {
        return virtual_port_is_set(&q->settings.virtual_port) ? fault_set(f, FAULT_INVALID_ARGS, EINVAL, "only a port on a bridge is in a switch") : 0;
}

BUS_HANDLER(method_reattach, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *name, *tap;
        PortRequest q;
        Network *n;
        int r;

        port_request_init(&q);
        r = sd_bus_message_read(m, "ss", &name, &tap);
        if (r >= 0)
                r = read_port(m, &q, &f);
        if (r >= 0)
                r = (n = definitions_find(&service_of(userdata)->networks->set, name, &f)) ? 0 : -ENOENT;
        if (r >= 0)
                r = network_reattach(n, tap, &q, &f);
        port_request_clear(&q);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

static int attach_here(Networks *s, const char *bridge, const PortRequest *q, sd_bus_message *m, Fault *f) {
        const PortSpec spec = {
                .bridge = bridge, .mac = q->mac, .queues = q->queues, .mtu = NUMBER_UNSET, .isolated = q->isolated, .domain = q->domain,
                .coalesce = q->coalesce,
        };
        int fds[PORT_QUEUES_MAX], r;
        char name[IFNAMSIZ];

        if (virtual_port_is_set(&q->settings.virtual_port))
                return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "interfaceid and profileid are for virtualport \"openvswitch\"");
        r = port_open(s->links, &spec, name, fds, f);
        return r < 0 ? r : finish_port(s, bridge, q, name, fds, m, f);
}

static int attach_in_switch(Networks *s, const char *bridge, const PortRequest *q, sd_bus_message *m, Fault *f) {
        int r = switch_ports_open(s->switch_ports, bridge, q, &q->settings, reply_port, sd_bus_message_ref(m), f);

        if (r < 0)
                sd_bus_message_unref(m);
        return r;
}

/* A bridge of the host that no network stands for. */
BUS_HANDLER(method_attach_bridge, ACTION_ATTACH_BRIDGE) {
        Networks *s = service_of(userdata)->networks;
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *bridge;
        PortRequest q;
        bool in_switch;
        int r;

        port_request_init(&q);
        r = sd_bus_message_read(m, "s", &bridge);
        if (r >= 0)
                r = read_port(m, &q, &f);
        if (r >= 0 && q.group)
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "a bridge of the host has no portgroups");
        in_switch = q.settings.virtual_port.type == VIRTUAL_PORT_OPENVSWITCH;
        if (r >= 0)
                r = (in_switch ? attach_in_switch : attach_here)(s, bridge, &q, m, &f);
        port_request_clear(&q);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* On nothing: what happens with its frames is somebody else's matter. */
BUS_HANDLER(method_attach_tap, ACTION_ATTACH_BRIDGE) {
        Networks *s = service_of(userdata)->networks;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int fds[PORT_QUEUES_MAX], managed, r;
        char name[IFNAMSIZ];
        const char *wanted;
        PortRequest q;

        port_request_init(&q);
        r = sd_bus_message_read(m, "sb", &wanted, &managed);
        if (r >= 0)
                r = read_port(m, &q, &f);
        if (r >= 0 && (q.group || q.isolated || q.settings.tags.n > 0))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "a tap that is on no bridge has no portgroup and no VLANs, and is not isolated");
        if (r >= 0)
                r = refuse_virtual_port(&q, &f);
        if (r >= 0 && !managed && !*wanted)
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "a tap that is there has a name");
        if (r >= 0) {
                const PortSpec spec = {
                        .name = *wanted ? wanted : NULL, .existing = !managed, .mac = q.mac, .queues = q.queues, .mtu = NUMBER_UNSET, .domain = q.domain,
                        .coalesce = q.coalesce,
                };

                r = port_open(s->links, &spec, name, fds, &f);
        }
        if (r >= 0)
                r = finish_port(s, NULL, &q, name, fds, m, &f);
        port_request_clear(&q);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

static void reply_limited(const Fault *why, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = userdata;

        if (why)
                (void) bus_reply_fault(m, why, -why->error);
        else
                (void) sd_bus_reply_method_return(m, NULL);
}

/* Of one in a switch its port has the limits, not its tap. */
static int limit_port(Networks *s, const char *name, const PortSettings *limits, sd_bus_message *m, Fault *f) {
        OvsPort *p = switch_ports_find(s->switch_ports, name);
        int r;

        if (!p) {
                r = shape_port_again(s->links, name, &limits->inbound, &limits->outbound, f);
                return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
        }
        r = switch_port_set_limits(p, &limits->inbound, &limits->outbound, reply_limited, sd_bus_message_ref(m), f);
        if (r < 0)
                sd_bus_message_unref(m);
        return r < 0 ? r : 1;
}

/* Of one that is there: what it is not told has no limit any more. */
BUS_HANDLER(method_set_port_bandwidth, ACTION_ATTACH_BRIDGE) {
        Networks *s = service_of(userdata)->networks;
        _cleanup_fault_ Fault f = FAULT_INIT;
        const char *name;
        PortRequest q;
        int r;

        port_request_init(&q);
        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = read_port(m, &q, &f);
        if (r >= 0 && (q.mac.set || q.group || q.domain || q.isolated || q.coalesce || q.settings.tags.n > 0 || q.settings.trunk != UNSET ||
                       virtual_port_is_set(&q.settings.virtual_port)))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "only inbound and outbound can be set");
        if (r >= 0)
                r = limit_port(s, name, &q.settings, m, &f);
        port_request_clear(&q);
        return r < 0 ? fault_to_bus(&f, r, error) : r;
}

static int check_mode(const char *mode, Fault *f) {
        static const char *const modes[] = { "bridge", "private", "vepa", "passthrough" };

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (streq(mode, modes[i]))
                        return 0;
        return fault_set(f, FAULT_INVALID_ARGS, EINVAL, "\"%.16s\" is no mode: bridge, private, vepa or passthrough", mode);
}

/* Beside the host, on one of its links. */
BUS_HANDLER(method_attach_link, ACTION_ATTACH_BRIDGE) {
        Networks *s = service_of(userdata)->networks;
        _cleanup_fault_ Fault f = FAULT_INIT;
        int fds[PORT_QUEUES_MAX], r;
        const char *link, *mode;
        char name[IFNAMSIZ];
        PortRequest q;

        port_request_init(&q);
        r = sd_bus_message_read(m, "ss", &link, &mode);
        if (r >= 0)
                r = check_mode(mode, &f);
        if (r >= 0)
                r = read_port(m, &q, &f);
        if (r >= 0 && (q.group || q.isolated || q.coalesce))
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL,
                              "a link of the host has no portgroups and does not coalesce, and its ports are isolated by mode private");
        if (r >= 0)
                r = refuse_virtual_port(&q, &f);
        if (r >= 0) {
                const MacvtapSpec spec = { .link = link, .mode = mode, .mac = q.mac, .queues = q.queues, .domain = q.domain };

                r = macvtaps_open(s->macvtaps, &spec, name, fds, &f);
        }
        if (r >= 0)
                r = finish_port(s, NULL, &q, name, fds, m, &f);
        port_request_clear(&q);
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

/* --- addresses of guests --- */

void manager_emit_addresses(Bus *b, const char *mac) {
        if (*mac)
                (void) bus_emit(b, NETWORK1_ROOT, NETWORK1_MANAGER, "AddressesChanged", "s", mac);
}

static int append_guest_address(sd_bus_message *reply, const GuestAddress *a) {
        int r = sd_bus_message_open_container(reply, 'r', "ayys");

        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', a->address.bytes, ip_bits(a->address.family) / 8);
        if (r >= 0)
                r = sd_bus_message_append(reply, "ys", (uint8_t) a->prefix, a->leased ? "lease" : "arp");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_HANDLER(method_list_addresses, BUS_OPEN) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_fault_ Fault f = FAULT_INIT;
        GuestAddress found[GUEST_ADDRESSES_MAX];
        const char *text, *wanted;
        MacAddress mac = {};
        size_t n = 0;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r >= 0 && field_mac.from_text(NULL, text, &mac, &wanted) < 0)
                r = fault_set(&f, FAULT_INVALID_ARGS, EINVAL, "\"%.32s\" is no MAC address", text);
        if (r >= 0)
                n = guest_addresses(service_of(userdata)->networks, &mac, found);
        if (r >= 0)
                r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ayys)");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = append_guest_address(reply, &found[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_send(NULL, reply, NULL);
}

BUS_GETTER(get_version) {
        return sd_bus_message_append(reply, "s", VIRTBUS_VERSION);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_NAMES("GetNetwork", "s", SD_BUS_PARAM(name), "o", SD_BUS_PARAM(network), method_get, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetNetworkByUUID", "ay", SD_BUS_PARAM(uuid), "o", SD_BUS_PARAM(network), method_get_by_uuid,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListNetworks", NULL,, "a(ssbo)", SD_BUS_PARAM(networks), method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("DefineNetwork", "sst" "a{sv}",
                                 SD_BUS_PARAM(format) SD_BUS_PARAM(text) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "o", SD_BUS_PARAM(network), method_define, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("StartTransient", "sst" "a{sv}",
                                 SD_BUS_PARAM(format) SD_BUS_PARAM(text) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "o", SD_BUS_PARAM(network), method_start_transient, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("StartNetwork", "st", SD_BUS_PARAM(name) SD_BUS_PARAM(flags), NULL,, method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("StopNetwork", "st", SD_BUS_PARAM(name) SD_BUS_PARAM(flags), NULL,, method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AttachBridgePort", "sa{sv}" "ta{sv}",
                                 SD_BUS_PARAM(bridge) SD_BUS_PARAM(port) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "sah", SD_BUS_PARAM(interface) SD_BUS_PARAM(queues), method_attach_bridge, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AttachLinkPort", "ssa{sv}" "ta{sv}",
                                 SD_BUS_PARAM(link) SD_BUS_PARAM(mode) SD_BUS_PARAM(port) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "sah", SD_BUS_PARAM(interface) SD_BUS_PARAM(queues), method_attach_link, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AttachTap", "sba{sv}" "ta{sv}",
                                 SD_BUS_PARAM(name) SD_BUS_PARAM(managed) SD_BUS_PARAM(port) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "sah", SD_BUS_PARAM(interface) SD_BUS_PARAM(queues), method_attach_tap, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ReattachPort", "ssa{sv}" "ta{sv}",
                                 SD_BUS_PARAM(network) SD_BUS_PARAM(interface) SD_BUS_PARAM(port) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 NULL,, method_reattach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetPortBandwidth", "sa{sv}" "ta{sv}",
                                 SD_BUS_PARAM(interface) SD_BUS_PARAM(limits) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 NULL,, method_set_port_bandwidth, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ListAddresses", "s", SD_BUS_PARAM(mac), "a(ayys)", SD_BUS_PARAM(addresses), method_list_addresses,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("AddressesChanged", "s", SD_BUS_PARAM(mac), 0),
        SD_BUS_SIGNAL_WITH_NAMES("NetworkNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(network), 0),
        SD_BUS_SIGNAL_WITH_NAMES("NetworkStarted", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(network), 0),
        SD_BUS_SIGNAL_WITH_NAMES("NetworkRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(network), 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable *const manager_vtables[] = { manager_vtable, NULL };
const BusObject manager_object = { .path = NETWORK1_ROOT, .interface = NETWORK1_MANAGER, .vtables = manager_vtables };
