/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <inttypes.h>
#include <string.h>

#include "../mode/mode.h"
#include "str.h"
#include "xml-read.h"

#define bad(record, f, ...) xml_fault(&(record)->head, (f), FAULT_INVALID_DEFINITION, __VA_ARGS__)

/* --- names --- */

/* As the kernel has it. */
static bool is_link_name(const char *name) {
        if (!*name || strlen(name) > 15 || streq(name, ".") || streq(name, ".."))
                return false;
        for (; *name; name++)
                if (*name <= ' ' || *name == '/' || *name == ':' || *name == 0x7f)
                        return false;
        return true;
}

static int check_links(const NetworkDef *def, Fault *f) {
        if (def->bridge && !is_link_name(def->bridge))
                return xml_fault_below(&def->head, "bridge/@name", f, FAULT_INVALID_DEFINITION,
                                       "\"%s\" can't be the name of a link: up to 15 characters without blanks, '/' and ':'", def->bridge);
        if (def->forward_dev && !is_link_name(def->forward_dev))
                return xml_fault_below(&def->head, "forward/@dev", f, FAULT_INVALID_DEFINITION, "\"%s\" can't be the name of a link", def->forward_dev);
        RECORD_FOREACH(ForwardInterface, i, def->forward_interfaces) {
                if (!is_link_name(i->dev))
                        return bad(i, f, "\"%s\" can't be the name of a link", i->dev);
                for (size_t k = 0; k < i_i; k++)
                        if (streq(((ForwardInterface *) def->forward_interfaces.items[k])->dev, i->dev))
                                return bad(i, f, "%s is given twice", i->dev);
        }
        if (def->mac.set && (def->mac.octets[0] & 1))
                return xml_fault_below(&def->head, "mac/@address", f, FAULT_INVALID_DEFINITION, "the address is a multicast one; its first octet must be even");
        return 0;
}

/* --- addresses --- */

static int check_prefix(const Record *where, int family, const IpAddress *netmask, uint64_t prefix, Fault *f) {
        unsigned bits = ip_bits(ip_family_of(family));

        if (ip_is_set(netmask) && prefix != NUMBER_UNSET)
                return xml_fault(where, f, FAULT_INVALID_DEFINITION, "netmask and prefix say the same: give one of them");
        if (ip_is_set(netmask) && (family == FAMILY_IPV6 || netmask->family != AF_INET))
                return xml_fault(where, f, FAULT_INVALID_DEFINITION, "a netmask is IPv4's: give a prefix");
        if (ip_is_set(netmask) && ip_netmask_to_prefix(netmask) < 0)
                return xml_fault(where, f, FAULT_INVALID_DEFINITION, "the netmask has holes: it is ones and then zeros, as 255.255.255.0");
        if (prefix != NUMBER_UNSET && prefix > bits)
                return xml_fault(where, f, FAULT_INVALID_DEFINITION, "a prefix of %" PRIu64 " is too long: %s has %u bits", prefix,
                                 family == FAMILY_IPV6 ? "IPv6" : "IPv4", bits);
        return 0;
}

static int check_family(const Record *where, int family, const IpAddress *a, const char *what, Fault *f) {
        char text[IP_TEXT_MAX];

        if (!ip_is_set(a) || a->family == ip_family_of(family))
                return 0;
        return xml_fault(where, f, FAULT_INVALID_DEFINITION, "the %s %s is not of family '%s'", what, ip_to_text(a, text),
                         family == FAMILY_IPV6 ? "ipv6" : "ipv4");
}

static int check_host_address(const NetworkIp *ip, unsigned prefix, Fault *f) {
        IpAddress first = ip_network(&ip->address, prefix), last = ip_broadcast(&ip->address, prefix);
        char text[IP_TEXT_MAX];

        if (ip->address.family == AF_INET && prefix < 31 && (ip_equal(&first, &ip->address) || ip_equal(&last, &ip->address)))
                return bad(ip, f, "%s is the %s address of its network, which no host can have", ip_to_text(&ip->address, text),
                           ip_equal(&first, &ip->address) ? "first" : "broadcast");
        return 0;
}

static int check_one_ip(const NetworkIp *ip, Fault *f) {
        int r;

        r = check_family(&ip->head, ip->family, &ip->address, "address", f);
        if (r >= 0)
                r = check_prefix(&ip->head, ip->family, &ip->netmask, ip->prefix, f);
        return r < 0 ? r : check_host_address(ip, network_prefix(ip), f);
}

static int network_check_ip(const NetworkDef *def, Fault *f) {
        bool dhcp[2] = {};

        RECORD_FOREACH(NetworkIp, ip, def->ips) {
                bool six = ip->family == FAMILY_IPV6;
                int r = check_one_ip(ip, f);

                if (r < 0)
                        return r;
                for (size_t k = 0; k < ip_i; k++) {
                        const NetworkIp *other = (const NetworkIp *) def->ips.items[k];

                        if (ip_overlap(&ip->address, network_prefix(ip), &other->address, network_prefix(other)))
                                return bad(ip, f, "its network overlaps with that of the <ip> in line %u", other->head.line);
                }
                if ((ip->ranges.n > 0 || ip->hosts.n > 0) && dhcp[six])
                        return bad(ip, f, "only one <ip> of each family can have <dhcp>");
                dhcp[six] = dhcp[six] || ip->ranges.n > 0 || ip->hosts.n > 0;
                r = network_check_dhcp(def, ip, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- routes --- */

static bool reaches(const NetworkDef *def, const IpAddress *gateway) {
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip_is_in(gateway, &ip->address, network_prefix(ip)))
                        return true;
        return false;
}

static int check_route(const NetworkDef *def, const NetworkRoute *t, Fault *f) {
        char text[IP_TEXT_MAX];
        IpAddress network;
        unsigned prefix;
        int r;

        r = check_family(&t->head, t->family, &t->address, "address", f);
        if (r >= 0)
                r = check_family(&t->head, t->family, &t->gateway, "gateway", f);
        if (r >= 0)
                r = check_prefix(&t->head, t->family, &t->netmask, t->prefix, f);
        if (r < 0)
                return r;
        if (!ip_is_set(&t->netmask) && t->prefix == NUMBER_UNSET)
                return bad(t, f, "a route needs a prefix or a netmask");
        prefix = ip_is_set(&t->netmask) ? (unsigned) ip_netmask_to_prefix(&t->netmask) : (unsigned) t->prefix;
        network = ip_network(&t->address, prefix);
        if (!ip_equal(&network, &t->address))
                return bad(t, f, "with a prefix of %u the network is %s", prefix, ip_to_text(&network, text));
        if (!reaches(def, &t->gateway))
                return bad(t, f, "the gateway %s is in none of the network's <ip>s", ip_to_text(&t->gateway, text));
        return 0;
}

/* --- ports --- */

static int check_settings(const NetworkDef *def, const Record *where, const PortSettings *s, Fault *f) {
        const ModeOps *ops = mode_ops(network_kind(def));
        int r;

        if (s->tags.n > 0 && !ops->vlans)
                return xml_fault_below(where, "vlan", f, FAULT_NOT_SUPPORTED, "VLANs need a bridge of the host that filters them, not forward mode '%s'",
                                       network_kind_to_string(ops->kind));
        r = port_settings_check(where, s, f);
        if (r < 0 || ops->virtual_ports || !virtual_port_is_set(&s->virtual_port))
                return r;
        xml_fault_below(where, "virtualport", f, FAULT_INVALID_DEFINITION, "it belongs to bridges of Open vSwitch");
        fault_hint(f, "these have <forward mode='bridge'/>, a <bridge name='…'/> and <virtualport type='openvswitch'/>");
        return -EINVAL;
}

/* A guest that may set the filters of its port could listen to its neighbours: nobody does what it says yet, and nobody shall think so. */
static int check_trust(const Record *where, Tristate trust, Fault *f) {
        return trust != YES ? 0 : xml_fault_below(where, "@trustGuestRxFilters", f, FAULT_NOT_SUPPORTED, "filters of guests are not taken over");
}

static int network_check_ports(const NetworkDef *def, Fault *f) {
        const PortGroup *by_default = NULL;
        int r;

        r = check_trust(&def->head, def->trust_filters, f);
        if (r >= 0)
                r = check_settings(def, &def->head, &def->port, f);
        if (r < 0)
                return r;
        RECORD_FOREACH(PortGroup, g, def->port_groups) {
                for (size_t k = 0; k < g_i; k++)
                        if (streq(((PortGroup *) def->port_groups.items[k])->name, g->name))
                                return bad(g, f, "a portgroup called \"%s\" is in line %u already", g->name, def->port_groups.items[k]->line);
                if (g->is_default == YES && by_default)
                        return bad(g, f, "the portgroup \"%s\" is the default one already", by_default->name);
                if (g->is_default == YES)
                        by_default = g;
                r = check_trust(&g->head, g->trust_filters, f);
                if (r >= 0)
                        r = check_settings(def, &g->head, &g->settings, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- all --- */

static int check_mtu(const NetworkDef *def, Fault *f) {
        if (def->mtu == NUMBER_UNSET || def->mtu >= 1280)
                return 0;
        RECORD_FOREACH(NetworkIp, ip, def->ips)
                if (ip->family == FAMILY_IPV6)
                        return xml_fault_below(&def->head, "mtu/@size", f, FAULT_INVALID_DEFINITION, "IPv6 needs at least 1280, not %" PRIu64, def->mtu);
        return 0;
}

int network_check(const NetworkDef *def, Fault *f) {
        int r;

        assert(def);

        r = check_links(def, f);
        if (r >= 0)
                r = mode_check(def, f);
        if (r >= 0)
                r = network_check_ip(def, f);
        for (size_t i = 0; i < def->routes.n && r >= 0; i++)
                r = check_route(def, (const NetworkRoute *) def->routes.items[i], f);
        if (r >= 0)
                r = network_check_dns(def, f);
        if (r >= 0)
                r = network_check_ports(def, f);
        return r < 0 ? r : check_mtu(def, f);
}
