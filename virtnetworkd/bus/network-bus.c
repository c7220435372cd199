/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../plan/network.h"
#include "../run/network-edit.h"
#include "bus-auth.h"
#include "bus-error.h"
#include "edit-bus.h"
#include "mem.h"
#include "service.h"
#include "str.h"
#include "xml-write.h"

/* org.virtbus.network1.Network. */

extern const BusObject manager_object;

/* --- starting and stopping --- */

int network_stop_call(Network *n, uint64_t flags, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;

        return defined_begun(network_stop(n, flags & BUS_FLAG_FORCE, defined_reply, sd_bus_message_ref(m), &f), m, &f, error);
}

BUS_HANDLER(method_start, ACTION_MANAGE) {
        return defined_start(userdata, m, error);
}

BUS_HANDLER(method_stop, ACTION_MANAGE) {
        uint64_t flags;
        int r = bus_read_flags(m, BUS_FLAG_FORCE, &flags, error);

        return r < 0 ? r : network_stop_call(userdata, flags, m, error);
}

/* --- ports --- */

BUS_HANDLER(method_attach, ACTION_ATTACH) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        PortRequest q;
        int r;

        r = read_port(m, &q, &f);
        if (r < 0)
                port_request_clear(&q);
        else {
                r = network_attach(userdata, &q, reply_port, sd_bus_message_ref(m), &f);
                if (r < 0)
                        sd_bus_message_unref(m);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_GETTER(get_ports) {
        _cleanup_strv_ char **ports = NULL;

        (void) network_ports(userdata, &ports);
        return sd_bus_message_append_strv(reply, ports);
}

/* --- leases --- */

static int append_grant_address(sd_bus_message *m, const DhcpGrant *g) {
        return sd_bus_message_append_array(m, 'y', g->address.bytes, ip_bits(g->address.family) / 8);
}

static int append_grant(sd_bus_message *reply, const DhcpGrant *g) {
        int r = sd_bus_message_open_container(reply, 'r', "saysst");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", g->mac);
        if (r >= 0)
                r = append_grant_address(reply, g);
        if (r >= 0)
                r = sd_bus_message_append(reply, "sst", g->name ?: "", g->client_id ?: "", g->expires_usec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_leases) {
        const Network *n = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "(saysst)");

        if (n->leases)
                for (size_t i = 0; i < leases_get(n->leases)->n && r >= 0; i++)
                        r = append_grant(reply, &leases_get(n->leases)->items[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int fill_lease(sd_bus_message *m, void *userdata) {
        const DhcpGrant *g = userdata;
        int r = sd_bus_message_append(m, "s", g->mac);

        if (r >= 0)
                r = append_grant_address(m, g);
        return r < 0 ? r : sd_bus_message_append(m, "s", g->name ?: "");
}

void network_emit_lease(Bus *b, const char *path, const DhcpGrant *g, bool added) {
        (void) bus_emit_filled(b, path, NETWORK1_NETWORK, added ? "LeaseAdded" : "LeaseRemoved", fill_lease, (void *) g);
}

/* --- definitions --- */

BUS_HANDLER(method_undefine, ACTION_MANAGE) {
        return defined_undefine(userdata, m, error);
}

BUS_HANDLER(method_set_autostart, ACTION_MANAGE) {
        return defined_set_autostart(userdata, m, error);
}

BUS_HANDLER(method_export, BUS_OPEN) {
        return defined_export(userdata, NULL, m, error);
}

static int reconfigure_live(Network *n, const char *text, uint64_t flags, sd_bus_message *m, sd_bus_error *error) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        NetworkDef *next;
        int r;

        r = definitions_read_for(n, text, strlen(text), (Definition **) &next, &f);
        if (r >= 0) {
                r = network_change(n, next, flags & BUS_FLAG_CONFIG ? text : NULL, defined_reply, sd_bus_message_ref(m), &f);
                if (r < 0)
                        sd_bus_message_unref(m);
        }
        return r < 0 ? fault_to_bus(&f, r, error) : 1;
}

BUS_HANDLER(method_reconfigure, ACTION_MANAGE) {
        _cleanup_fault_ Fault f = FAULT_INIT;
        const Network *n = userdata;
        uint64_t flags, generation = 0;
        const BusOption options[] = { { "if-generation", 't', &generation } };
        const char *text;
        int r;

        r = bus_read_definition(m, &text, &f);
        if (r >= 0)
                r = bus_read_options(m, BUS_FLAG_LIVE | BUS_FLAG_CONFIG, &flags, options, ARRAY_SIZE(options), &f);
        if (r >= 0)
                r = bus_check_generation(n->name, generation, n->config_generation, &f);
        if (r >= 0 && (flags & BUS_FLAG_LIVE))
                return reconfigure_live(userdata, text, flags, m, error);
        if (r >= 0)
                r = definitions_define(&n->all->set, text, strlen(text), false, n, NULL, &f);
        return r < 0 ? fault_to_bus(&f, r, error) : sd_bus_reply_method_return(m, NULL);
}

/* --- properties --- */

BUS_GETTER(get_bridge) {
        const NetworkDef *def = network_def(userdata);

        return sd_bus_message_append(reply, "s", def && def->bridge ? def->bridge : "");
}

BUS_GETTER(get_ifindex) {
        return sd_bus_message_append(reply, "i", ((Network *) userdata)->ifindex);
}

BUS_GETTER(get_mode) {
        const NetworkDef *def = network_def(userdata);

        return sd_bus_message_append(reply, "s", def ? network_kind_to_string(network_kind(def)) : "");
}

BUS_GETTER(get_devices) {
        const NetworkDef *def = network_def(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "s");

        if (r >= 0 && def && def->forward_dev)
                r = sd_bus_message_append(reply, "s", def->forward_dev);
        if (def)
                RECORD_FOREACH(ForwardInterface, i, def->forward_interfaces)
                        if (r >= 0 && !streq_null(i->dev, def->forward_dev))
                                r = sd_bus_message_append(reply, "s", i->dev);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_domain) {
        const NetworkDef *def = network_def(userdata);

        return sd_bus_message_append(reply, "s", def && def->domain ? def->domain : "");
}

BUS_GETTER(get_mtu) {
        const NetworkDef *def = network_def(userdata);

        return sd_bus_message_append(reply, "u", def && def->mtu != NUMBER_UNSET ? (uint32_t) def->mtu : 0);
}

static int append_address(sd_bus_message *reply, const NetworkIp *ip) {
        int r = sd_bus_message_open_container(reply, 'r', "iayu");

        if (r >= 0)
                r = sd_bus_message_append(reply, "i", ip->address.family);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', ip->address.bytes, ip_bits(ip->address.family) / 8);
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", network_prefix(ip));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_addresses) {
        const NetworkDef *def = network_def(userdata);
        int r = sd_bus_message_open_container(reply, 'a', "(iayu)");

        if (def)
                RECORD_FOREACH(NetworkIp, ip, def->ips)
                        if (r >= 0)
                                r = append_address(reply, ip);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_warnings) {
        const Network *n = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "s");

        for (char **w = n->warnings; w && *w && r >= 0; w++)
                r = sd_bus_message_append(reply, "s", *w);
        for (char **w = n->blocked; w && *w && r >= 0; w++)
                r = sd_bus_message_append(reply, "s", *w);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_GETTER(get_error) {
        const Network *n = userdata;

        return sd_bus_message_append(reply, "s", fault_is_set(&n->broken) ? fault_text(&n->broken) : "");
}

#define CONST_AT(name, type, getter, member) SD_BUS_PROPERTY(name, type, getter, offsetof(Network, member), SD_BUS_VTABLE_PROPERTY_CONST)
#define EMITS_AT(name, type, getter, member) SD_BUS_PROPERTY(name, type, getter, offsetof(Network, member), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define EMITS(name, type, getter) SD_BUS_PROPERTY(name, type, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
static const sd_bus_vtable network_vtable[] = {
        SD_BUS_VTABLE_START(0),
        CONST_AT("Name", "s", bus_get_string, name),
        CONST_AT("UUID", "ay", bus_get_id, uuid),
        EMITS_AT("Active", "b", bus_get_bool, active),
        EMITS_AT("Persistent", "b", bus_get_bool, persistent),
        EMITS_AT("Autostart", "b", bus_get_bool, autostart),
        EMITS_AT("ConfigGeneration", "t", NULL, config_generation),
        EMITS("Bridge", "s", get_bridge),
        EMITS("IfIndex", "i", get_ifindex),
        EMITS("ForwardMode", "s", get_mode),
        EMITS("ForwardDevices", "as", get_devices),
        EMITS("Domain", "s", get_domain),
        EMITS("MTU", "u", get_mtu),
        EMITS("Addresses", "a(iayu)", get_addresses),
        SD_BUS_PROPERTY("Ports", "as", get_ports, 0, 0),
        SD_BUS_PROPERTY("Leases", "a(saysst)", get_leases, 0, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
        EMITS("DHCPRanges", "a(iayay)", get_dhcp_ranges),
        EMITS("StaticHosts", "a(says)", get_static_hosts),
        EMITS("PortForwards", "a(sqqsqaysaay)", get_port_forwards),
        EMITS("Warnings", "as", get_warnings),
        EMITS("Error", "s", get_error),
        SD_BUS_METHOD_WITH_NAMES("Start", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_start, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Stop", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AttachPort", "a{sv}" "ta{sv}", SD_BUS_PARAM(port) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 "sah", SD_BUS_PARAM(interface) SD_BUS_PARAM(queues), method_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Undefine", "ta{sv}", SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_undefine,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("SetAutostart", "bta{sv}", SD_BUS_PARAM(autostart) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,,
                                 method_set_autostart, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("ExportDefinition", "st", SD_BUS_PARAM(format) SD_BUS_PARAM(flags), "s", SD_BUS_PARAM(text), method_export,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Reconfigure", "sst" "a{sv}",
                                 SD_BUS_PARAM(format) SD_BUS_PARAM(text) SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_reconfigure,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AddPortForward", "sqqsq" "ta{sv}",
                                 SD_BUS_PARAM(protocol) SD_BUS_PARAM(start) SD_BUS_PARAM(end) SD_BUS_PARAM(guest) SD_BUS_PARAM(to)
                                 SD_BUS_PARAM(flags) SD_BUS_PARAM(options), NULL,, method_add_port_forward, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("RemovePortForward", "sqta{sv}", SD_BUS_PARAM(protocol) SD_BUS_PARAM(start) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 NULL,, method_remove_port_forward, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("AddStaticHost", "sayta{sv}", SD_BUS_PARAM(client) SD_BUS_PARAM(address) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 NULL,, method_add_static_host, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("RemoveStaticHost", "sayta{sv}", SD_BUS_PARAM(client) SD_BUS_PARAM(address) SD_BUS_PARAM(flags) SD_BUS_PARAM(options),
                                 NULL,, method_remove_static_host, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_NAMES("LeaseAdded", "says", SD_BUS_PARAM(mac) SD_BUS_PARAM(address) SD_BUS_PARAM(hostname), 0),
        SD_BUS_SIGNAL_WITH_NAMES("LeaseRemoved", "says", SD_BUS_PARAM(mac) SD_BUS_PARAM(address) SD_BUS_PARAM(hostname), 0),
        SD_BUS_VTABLE_END
};

/* --- objects --- */

static const struct DefinedProperty properties[] = {
        { NETWORK_CHANGED_ACTIVE, "Active" }, { NETWORK_CHANGED_ACTIVE, "IfIndex" }, { NETWORK_CHANGED_AUTOSTART, "Autostart" },
        { NETWORK_CHANGED_CONFIG, "Persistent" }, { NETWORK_CHANGED_CONFIG, "ConfigGeneration" }, { NETWORK_CHANGED_WARNINGS, "Warnings" },
        { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "Bridge" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "ForwardMode" },
        { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "ForwardDevices" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "Domain" },
        { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "MTU" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "Addresses" },
        { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG | NETWORK_CHANGED_FORWARDS, "PortForwards" },
        { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "StaticHosts" }, { NETWORK_CHANGED_ACTIVE | NETWORK_CHANGED_CONFIG, "DHCPRanges" },
        { NETWORK_CHANGED_CONFIG, "Error" }, { NETWORK_CHANGED_LEASES | NETWORK_CHANGED_ACTIVE, "Leases" },
        {},
};

const DefinedBus network_bus = {
        .root = NETWORK1_ROOT, .manager = NETWORK1_MANAGER, .added = "NetworkNew", .removed = "NetworkRemoved",
        .folder = NETWORK1_ROOT "/network", .interface = NETWORK1_NETWORK, .properties = properties,
};

static int object_find(const char *path, void *userdata, void **ret) {
        Service *s = service_of(userdata);

        return defined_find_path(&network_bus, s && s->networks ? &s->networks->set : NULL, path, ret);
}

static int object_enumerate(char ***ret, void *userdata) {
        Service *s = service_of(userdata);

        return defined_list_paths(&network_bus, s && s->networks ? &s->networks->set : NULL, ret);
}

static int object_details(void *object, sd_bus_message *call) {
        return sd_bus_message_append(call, "{ss}", "network", ((Network *) object)->name);
}

static const sd_bus_vtable *const network_vtables[] = { network_vtable, NULL };
static const BusObject network_object = {
        .path = NETWORK1_ROOT "/network", .many = true, .interface = NETWORK1_NETWORK, .vtables = network_vtables, .find = object_find,
        .enumerate = object_enumerate, .details = object_details,
};
const BusObject *const service_objects[] = { &manager_object, &network_object, NULL };
