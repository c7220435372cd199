/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network-def.h"

#include <string.h>

#include "str.h"
#include "xml-read.h"

DEFINE_ENUM(ForwardMode, forward_mode, NULL, "nat", "route", "open", "bridge", "private", "vepa", "passthrough", "hostdev")
DEFINE_ENUM(MacTableManager, mac_table_manager, NULL, "kernel", "libvirt")
DEFINE_ENUM(IpFamily, ip_family, NULL, "ipv4", "ipv6")
DEFINE_ENUM(LeaseUnit, lease_unit, NULL, "seconds", "minutes", "hours")
DEFINE_ENUM(PortProtocol, port_protocol, NULL, "tcp", "udp", "sctp")
DEFINE_ENUM(NetworkKind, network_kind, "isolated", "nat", "route", "open", "bridge", "openvswitch", "macvtap", "hostdev")

/* --- addresses as values --- */

static int address_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        *ret_wanted = "an IP address such as 192.168.100.1 or fd00::1";
        return ip_from_text(text, value);
}

/* "auto" is as good as nothing: an address is chosen. */
static int own_address_from_text(const Field *f, const char *text, void *value, const char **ret_wanted) {
        if (streq(text, "auto")) {
                *(IpAddress *) value = (IpAddress) {};
                return 0;
        }
        *ret_wanted = "an IP address such as 192.168.100.1 or fd00::1, or auto";
        return ip_from_text(text, value);
}

static char *address_to_text(const Field *f, const void *value) {
        char text[IP_TEXT_MAX];

        return strdup(ip_to_text(value, text));
}

static bool address_is_set(const void *value) {
        return ip_is_set(value);
}

static bool address_equal(const void *a, const void *b) {
        return ip_equal(a, b);
}

static const FieldType field_address = {
        .size = sizeof(IpAddress), .from_text = address_from_text, .to_text = address_to_text, .is_set = address_is_set,
        .equal = address_equal,
};

static const FieldType field_own_address = {
        .size = sizeof(IpAddress), .from_text = own_address_from_text, .to_text = address_to_text, .is_set = address_is_set,
        .equal = address_equal,
};

/* --- tables --- */

#define IFNAME_MAX 15
#define DNS_NAME_MAX 253
#define DHCP_HOSTS_MAX 20000

#define AT(member) offsetof(ForwardInterface, member)
static const Field forward_interface_fields[] = {
        { "@dev", &field_string, AT(dev), FIELD_REQUIRED, .max_length = IFNAME_MAX },
};
#undef AT
static const RecordType forward_interface_record = { "interface", sizeof(ForwardInterface), RECORD_FIELDS(forward_interface_fields) };

#define AT(member) offsetof(DnsForwarder, member)
static const Field forwarder_fields[] = {
        { "@domain", &field_string, AT(domain), .max_length = DNS_NAME_MAX },
        { "@addr", &field_address, AT(address) },
};
#undef AT

static int forwarder_check(Record *r, Fault *f) {
        const DnsForwarder *w = (const DnsForwarder *) r;

        return w->domain || ip_is_set(&w->address) ? 0 : xml_fault(r, f, FAULT_INVALID_DEFINITION, "domain or addr is needed");
}
static const RecordType forwarder_record = { "forwarder", sizeof(DnsForwarder), RECORD_FIELDS(forwarder_fields), .check = forwarder_check };

#define AT(member) offsetof(DnsHostname, member)
static const Field hostname_fields[] = { { ".", &field_string, AT(name), FIELD_REQUIRED, .max_length = DNS_NAME_MAX } };
#undef AT
static const RecordType hostname_record = { "hostname", sizeof(DnsHostname), RECORD_FIELDS(hostname_fields) };

#define AT(member) offsetof(DnsHost, member)
static const Field dns_host_fields[] = {
        { "@ip", &field_address, AT(ip), FIELD_REQUIRED },
        { "hostname", &field_list, AT(names), .record = &hostname_record },
};
#undef AT
static const RecordType dns_host_record = { "host", sizeof(DnsHost), RECORD_FIELDS(dns_host_fields) };

#define AT(member) offsetof(DnsTxt, member)
static const Field txt_fields[] = {
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = DNS_NAME_MAX },
        { "@value", &field_string, AT(value), .max_length = 1024 },
};
#undef AT
static const RecordType txt_record = { "txt", sizeof(DnsTxt), RECORD_FIELDS(txt_fields) };

#define AT(member) offsetof(DnsSrv, member)
static const Field srv_fields[] = {
        { "@service", &field_string, AT(service), FIELD_REQUIRED, .max_length = 63 },
        { "@protocol", &field_string, AT(protocol), FIELD_REQUIRED, .max_length = 63 },
        { "@domain", &field_string, AT(domain), .max_length = DNS_NAME_MAX },
        { "@target", &field_string, AT(target), .max_length = DNS_NAME_MAX },
        { "@port", &field_number, AT(port), .min = 1, .max = 65535 },
        { "@priority", &field_number, AT(priority), .max = 65535 },
        { "@weight", &field_number, AT(weight), .max = 65535 },
};
#undef AT
static const RecordType srv_record = { "srv", sizeof(DnsSrv), RECORD_FIELDS(srv_fields) };

#define LEASE_FIELDS(member)                                                                            \
        { "lease/@expiry", &field_number, AT(member.expiry), .max = UINT32_MAX },                       \
        { "lease/@unit", &field_enum, AT(member.unit), .words = &lease_unit_table }

#define AT(member) offsetof(DhcpRange, member)
static const Field range_fields[] = {
        { "@start", &field_address, AT(start), FIELD_REQUIRED },
        { "@end", &field_address, AT(end), FIELD_REQUIRED },
        LEASE_FIELDS(lease),
};
#undef AT
const RecordType dhcp_range_record = { "range", sizeof(DhcpRange), RECORD_FIELDS(range_fields) };

#define AT(member) offsetof(DhcpHost, member)
static const Field dhcp_host_fields[] = {
        { "@mac", &field_mac, AT(mac) },
        { "@id", &field_string, AT(id), .max_length = 400 },
        { "@name", &field_string, AT(name), .max_length = DNS_NAME_MAX },
        { "@ip", &field_address, AT(ip) },
        LEASE_FIELDS(lease),
};
#undef AT
const RecordType dhcp_host_record = { "host", sizeof(DhcpHost), RECORD_FIELDS(dhcp_host_fields) };

#define AT(member) offsetof(NetworkIp, member)
static const Field ip_fields[] = {
        { "@family", &field_enum, AT(family), .words = &ip_family_table },
        { "@address", &field_own_address, AT(address) },
        { "@netmask", &field_address, AT(netmask) },
        { "@prefix", &field_number, AT(prefix), .max = 128 },
        { "@localPtr", &field_yes_no, AT(local_ptr) },
        { "tftp/@root", &field_string, AT(tftp_root) },
        { "dhcp", &field_flag, AT(dhcp) },
        { "dhcp/range", &field_list, AT(ranges), .record = &dhcp_range_record },
        { "dhcp/host", &field_list, AT(hosts), .record = &dhcp_host_record, .max = DHCP_HOSTS_MAX },
        { "dhcp/bootp/@file", &field_string, AT(bootp_file), .max_length = 512 },
        { "dhcp/bootp/@server", &field_string, AT(bootp_server), .max_length = DNS_NAME_MAX },
};
#undef AT
static const RecordType ip_record = { "ip", sizeof(NetworkIp), RECORD_FIELDS(ip_fields) };

#define AT(member) offsetof(NetworkRoute, member)
static const Field route_fields[] = {
        { "@family", &field_enum, AT(family), .words = &ip_family_table },
        { "@address", &field_address, AT(address), FIELD_REQUIRED },
        { "@netmask", &field_address, AT(netmask) },
        { "@prefix", &field_number, AT(prefix), .max = 128 },
        { "@gateway", &field_address, AT(gateway), FIELD_REQUIRED },
        { "@metric", &field_number, AT(metric), .min = 1, .max = UINT32_MAX },
};
#undef AT
static const RecordType route_record = { "route", sizeof(NetworkRoute), RECORD_FIELDS(route_fields) };

#define AT(member) offsetof(PortGroup, member)
static const Field port_group_fields[] = {
        { "@name", &field_string, AT(name), FIELD_REQUIRED, .max_length = 255 },
        { "@default", &field_yes_no, AT(is_default) },
        { "@trustGuestRxFilters", &field_yes_no, AT(trust_filters) },
        PORT_SETTINGS_FIELDS(AT(settings)),
};
#undef AT
static const RecordType port_group_record = { "portgroup", sizeof(PortGroup), RECORD_FIELDS(port_group_fields) };

#define AT(member) offsetof(PortForward, member)
static const Field port_forward_fields[] = {
        { "@proto", &field_enum, AT(protocol), FIELD_REQUIRED, .words = &port_protocol_table },
        { "@address", &field_address, AT(address) },
        { "@dev", &field_string, AT(dev), .max_length = IFNAME_MAX },
        { "@start", &field_number, AT(start), FIELD_REQUIRED, .min = 1, .max = 65535 },
        { "@end", &field_number, AT(end), .min = 1, .max = 65535 },
        { "@guest", &field_string, AT(guest), FIELD_REQUIRED, .max_length = DNS_NAME_MAX },
        { "@to", &field_number, AT(to), .min = 1, .max = 65535 },
};
#undef AT
const RecordType port_forward_record = { "virtbus:portForward", sizeof(PortForward), RECORD_FIELDS(port_forward_fields) };

#define AT(member) offsetof(DnsmasqOption, member)
static const Field dnsmasq_option_fields[] = {
        { "@value", &field_string, AT(value), FIELD_REQUIRED, .max_length = 1000 }, /* dnsmasq reads no more of a line */
};
#undef AT
static const RecordType dnsmasq_option_record = { "dnsmasq:option", sizeof(DnsmasqOption), RECORD_FIELDS(dnsmasq_option_fields) };

#define AT(member) offsetof(NetworkDef, member)
static const Field network_fields[] = {
        { "@connections", &field_number, AT(connections), FIELD_LIVE },
        { "@ipv6", &field_yes_no, AT(ipv6) },
        { "@trustGuestRxFilters", &field_yes_no, AT(trust_filters) },
        { "name", &field_string, AT(name), FIELD_REQUIRED },
        { "uuid", &field_uuid, AT(uuid) },
        { "title", &field_string, AT(title) },
        { "description", &field_string, AT(description), .max_length = 65536 },
        { "metadata", &field_xml, AT(metadata) },

        { "forward", &field_flag, AT(forward) },
        { "forward/@dev", &field_string, AT(forward_dev), .max_length = IFNAME_MAX },
        { "forward/@mode", &field_enum, AT(mode), .words = &forward_mode_table },
        { "forward/@managed", &field_yes_no, AT(forward_managed) },
        { "forward/nat/@ipv6", &field_yes_no, AT(nat_ipv6) },
        { "forward/nat/address/@start", &field_address, AT(nat_start) },
        { "forward/nat/address/@end", &field_address, AT(nat_end) },
        { "forward/nat/port/@start", &field_number, AT(nat_port_start), .min = 1, .max = 65535 },
        { "forward/nat/port/@end", &field_number, AT(nat_port_end), .min = 1, .max = 65535 },
        { "forward/interface", &field_list, AT(forward_interfaces), .record = &forward_interface_record },

        { "bridge/@name", &field_string, AT(bridge), .max_length = IFNAME_MAX },
        { "bridge/@zone", &field_string, AT(zone), .max_length = 64 },
        { "bridge/@stp", &field_on_off, AT(stp) },
        { "bridge/@delay", &field_number, AT(delay), .max = 30 },
        { "bridge/@macTableManager", &field_enum, AT(mac_table), .words = &mac_table_manager_table },
        { "mtu/@size", &field_number, AT(mtu), .min = 68, .max = 65535 },
        { "mac/@address", &field_mac, AT(mac) },

        { "domain/@name", &field_string, AT(domain), .max_length = DNS_NAME_MAX },
        { "domain/@localOnly", &field_yes_no, AT(domain_local) },
        { "domain/@register", &field_yes_no, AT(domain_register) },
        { "dns/@enable", &field_yes_no, AT(dns) },
        { "dns/@forwardPlainNames", &field_yes_no, AT(dns_plain) },
        { "dns/forwarder", &field_list, AT(forwarders), .record = &forwarder_record },
        { "dns/txt", &field_list, AT(dns_txts), .record = &txt_record },
        { "dns/srv", &field_list, AT(dns_srvs), .record = &srv_record },
        { "dns/host", &field_list, AT(dns_hosts), .record = &dns_host_record, .max = DHCP_HOSTS_MAX },

        { "ip", &field_list, AT(ips), .record = &ip_record },
        { "route", &field_list, AT(routes), .record = &route_record },
        { "portgroup", &field_list, AT(port_groups), .record = &port_group_record },
        PORT_SETTINGS_FIELDS(AT(port)),
        { "port/@isolated", &field_yes_no, AT(isolated) },
        { "dnsmasq:options/dnsmasq:option", &field_list, AT(dnsmasq_options), .record = &dnsmasq_option_record, .max = 128 },
        { "virtbus:portForward", &field_list, AT(port_forwards), .record = &port_forward_record },
};
#undef AT

const RecordType network_record = { "network", sizeof(NetworkDef), RECORD_FIELDS(network_fields) };

unsigned network_prefix(const NetworkIp *ip) {
        int prefix = ip_is_set(&ip->netmask) ? ip_netmask_to_prefix(&ip->netmask) : (int) ip->prefix;

        return prefix < 0 ? ip_bits(ip->address.family) : (unsigned) prefix;
}

/* A bridge is one or the other: what one of its portgroups is told holds for all. */
static bool is_open_vswitch(const NetworkDef *def) {
        bool is = def->port.virtual_port.type == VIRTUAL_PORT_OPENVSWITCH;

        RECORD_FOREACH(PortGroup, g, def->port_groups)
                is = is || g->settings.virtual_port.type == VIRTUAL_PORT_OPENVSWITCH;
        return is;
}

NetworkKind network_kind(const NetworkDef *def) {
        static const NetworkKind kinds[_FORWARD_MODE_MAX] = {
                [FORWARD_NONE] = NETWORK_ISOLATED, [FORWARD_NAT] = NETWORK_NAT, [FORWARD_ROUTE] = NETWORK_ROUTE,
                [FORWARD_OPEN] = NETWORK_OPEN, [FORWARD_BRIDGE] = NETWORK_BRIDGE, [FORWARD_PRIVATE] = NETWORK_MACVTAP,
                [FORWARD_VEPA] = NETWORK_MACVTAP, [FORWARD_PASSTHROUGH] = NETWORK_MACVTAP, [FORWARD_HOSTDEV] = NETWORK_HOSTDEV,
        };

        /* <forward/> alone has always meant NAT. */
        if (def->forward && def->mode == FORWARD_NONE)
                return NETWORK_NAT;
        if (def->mode == FORWARD_BRIDGE && !def->bridge)
                return NETWORK_MACVTAP;
        if (def->mode == FORWARD_BRIDGE && is_open_vswitch(def))
                return NETWORK_OPENVSWITCH;
        return kinds[def->mode];
}

bool network_is_dns_name(const char *name) {
        size_t label = 0;

        if (strlen(name) > 253)
                return false;
        for (; *name; name++) {
                bool good = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') ||
                            *name == '-' || *name == '_';

                if (*name == '.' && label == 0)
                        return false;
                if (*name != '.' && !good)
                        return false;
                label = *name == '.' ? 0 : label + 1;
                if (label > 63)
                        return false;
        }
        return label > 0;
}
